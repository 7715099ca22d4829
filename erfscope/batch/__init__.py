"""Studies of many maps: a plan, its jobs and their tasks, run on this machine or by SLURM."""
