"""Many maps by one plan: a file's jobs, their tasks, and who carries them out, this machine or SLURM."""
