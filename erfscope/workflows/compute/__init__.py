"""From a network and images to a map: in one go, or in shards that are kept and resumed."""
