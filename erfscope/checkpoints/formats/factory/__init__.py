"""`package.module:function`: networks of the user's own code."""
