"""What the operating system and the machine give to a process. Nothing here knows of networks or maps.

These modules import no torch, so that `--help`, the map store, batches and reports run without it:

- `atomic_files`: write a file whole or not at all
- `environment`: the one place that reads and sets environment variables
- `file_lock`: let one process at a time write a file
- `signals`: end a run at a whole step when the system asks for it
- `threads`: divide the cores among worker processes and threads

These import torch:

- `devices`: choose the CPU or a CUDA device
- `memory`: keep, measure and run out of memory
- `precision`: what tensors hold and how CUDA multiplies them
- `process_group`: join the processes that train or compute together
"""
