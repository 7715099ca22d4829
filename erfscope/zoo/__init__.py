"""Networks in plain torch. The catalog is the way in; parameter names are mmsegmentation's."""
