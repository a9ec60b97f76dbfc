"""Not the service: the back-test and the indicator library. Nothing that runs live imports this."""
