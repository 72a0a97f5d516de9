"""The command line: `app` has the commands, one module each computes what they say."""
