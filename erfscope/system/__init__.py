"""What the operating system gives: environment, signals, files, devices, memory, threads, processes."""
