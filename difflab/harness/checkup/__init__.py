"""What ``difflab doctor`` looks at, by subject; every module gives findings."""
