"""Networks in plain torch. The catalogue is the way in; parameter names are mmsegmentation's."""
