"""Scripts for SLURM, as text. Each is complete: `sbatch SCRIPT` by hand runs the same."""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from erfscope.batch.batch_plan import Plan
from erfscope.batch.tasks import Stage, Task, files_of
from erfscope.errors import BatchError

#: A shard that was queued again so often makes no progress, and would go on forever.
MOST_REQUEUES = 100
# Options of sbatch that the scripts set themselves.
_SET_BY_BATCH = (
    "array", "chdir", "dependency", "error", "input", "job-name", "kill-on-invalid-dep", "no-requeue",
    "open-mode", "output", "parsable", "requeue", "signal", "wait", "wrap",
)  # fmt: skip

_START = """\
# Marks in the log where a run begins and how it ended, for `erfscope batch status`.
say() {{ echo "erfscope batch: $(date -Iseconds) $*"; }}
say starts as job "{job}" on "$(hostname)"

{signals}{preparation}
program=({program})
"""

_SIGNALS = """\
# SLURM sends USR1 before the time limit: the process saves, ends with 75, and the job is queued again.
# TERM comes by scancel and preemption: it is passed on, but SLURM alone decides whether the job runs again.
asked= child= code=75
trap 'asked=USR1; [ -z "$child" ] || kill -USR1 "$child"' USR1
trap 'asked=TERM; [ -z "$child" ] || kill -TERM "$child"' TERM

"""

_COMPUTE = """\
{number}if [ -z "$asked" ]; then
    {command} &
    child=$!
    while wait "$child"; kill -0 "$child" 2>/dev/null; do :; done  # a signal ends wait, not the process
    wait "$child"
    code=$?
fi
say ended with "$code"
case "$asked$code" in
75 | USR175 | USR1138) # 138: it came before the process could handle it
    if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {most} ]; then
        scontrol requeue "{job}"
    fi
    ;;
esac
exit "$code"
"""

_MERGE = """\
{command}
code=$?
say ended with "$code"
exit "$code"
"""

_MEASURE = """\
# NAME.json is what the command NAME prints, whole or not at all; the rest goes to NAME.log.
measure() {{
    local name=$1 code
    say starts as job "{job}" >>"$name.log"
    "${{program[@]}}" "$@" >".$name.json.part" 2>>"$name.log" && mv ".$name.json.part" "$name.json"
    code=$?
    say ended with "$code" >>"$name.log"
    [ "$code" = 0 ] || failed=2
}}

cd {folder} || exit
failed=0
{commands}
say ended with "$failed"
exit "$failed"
"""


def job_title(task: Task) -> str:
    """Return the name of a task's SLURM job."""
    return task.job if task.stage == "compute" else f"{task.job}.{task.stage}"


def write_script(plan: Plan, tasks: Sequence[Task]) -> str:
    """Return the script of tasks of one job and stage: compute shards of one map, merge, or measure it.

    Raises
    ------
    BatchError
        A value of `[slurm]` can't be an option.
    """
    stage = tasks[0].stage
    in_array = stage == "compute" and plan.shards > 1
    job = "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" if in_array else "$SLURM_JOB_ID"
    start = _START.format(
        job=job,
        signals=_SIGNALS if stage == "compute" else "",
        preparation="\n".join(_preparation(plan)),
        program=" ".join(_program(plan)),
    )
    body = {"compute": _compute, "merge": _merge, "measure": _measure}[stage](plan, tasks, job)
    origin = f"# From {shlex.quote(str(plan.file))} by erfscope batch, which writes it anew."
    return "\n".join(["#!/bin/bash", *_directives(plan, tasks), origin, "", start, body])


def _compute(plan: Plan, tasks: Sequence[Task], job: str) -> str:
    number, words = "", _quoted(tasks[0].words)
    if plan.shards > 1:
        files = files_of(plan, tasks[0].job)
        number = f'shard=$(printf %0{files.digits}d "$SLURM_ARRAY_TASK_ID")\n'
        words[words.index("--shard") + 1] = f'"$SLURM_ARRAY_TASK_ID/{plan.shards}"'
        words[words.index("--out") + 1] = files.part_in_bash("shard")
    return _COMPUTE.format(number=number, job=job, command=_command(words, "    "), most=MOST_REQUEUES)


def _merge(plan: Plan, tasks: Sequence[Task], job: str) -> str:
    return _MERGE.format(command=_command(_quoted(tasks[0].words), ""))


def _measure(plan: Plan, tasks: Sequence[Task], job: str) -> str:
    commands = "\n".join(" ".join(["measure", *_quoted(task.words)]) for task in tasks)
    return _MEASURE.format(folder=shlex.quote(str(tasks[0].folder)), commands=commands, job=job)


def _directives(plan: Plan, tasks: Sequence[Task]) -> list[str]:
    """Return the lines `#SBATCH …`."""
    first, slurm = tasks[0], plan.slurm
    in_array = first.stage == "compute" and plan.shards > 1
    if "\\" in str(first.folder):
        raise BatchError(
            f"SLURM can't write logs to {first.folder}, which has a backslash; give the plan another out"
        )
    options: dict[str, Any] = {
        "job-name": job_title(first),
        "output": files_of(plan, first.job).log_pattern(first.stage, in_array=in_array),
        "open-mode": "append",
        "requeue": True,
    }
    if in_array:
        limit = f"%{slurm.max_running}" if slurm.max_running else ""
        options["array"] = _ranges([task.index for task in tasks]) + limit
    if first.stage == "compute":
        options["signal"] = f"B:USR1@{slurm.signal_seconds}"
    else:
        options["kill-on-invalid-dep"] = "yes"
    return [_directive(name, value) for name, value in (options | _resources(plan, first.stage)).items()]


def _resources(plan: Plan, stage: Stage) -> dict[str, Any]:
    """Return the plan's resources by sbatch's long option names."""
    asked = vars(plan.slurm.for_stage(stage)).copy()
    others: Mapping[str, Any] = asked.pop("options")
    options = {name.replace("_", "-"): value for name, value in asked.items() if value is not None}
    for key, value in others.items():
        name = key.replace("_", "-")
        if name in _SET_BY_BATCH or not re.fullmatch(r"[a-z][a-z0-9-]+", name):
            raise BatchError(
                f"{plan.file.name}: [slurm] options has {key!r}; expected a long option of sbatch that a "
                "batch doesn't set itself"
            )
        if not isinstance(value, (str, int, float)):
            raise BatchError(
                f"{plan.file.name}: [slurm] options.{key} = {value!r}; expected a text, a number or true"
            )
        if value is not False:
            options[name] = value
    return options


def _directive(name: str, value: Any) -> str:
    if value is True:
        return f"#SBATCH --{name}"
    text = str(value)
    if not re.fullmatch(r"[\w@%+=:,./~\[\]-]+", text):
        # sbatch reads its lines so: a backslash escapes the next character, also within quotes.
        text = '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
    return f"#SBATCH --{name}={text}"


def _ranges(numbers: Sequence[int]) -> str:
    """Return `0-3,7` for 0, 1, 2, 3, 7."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _preparation(plan: Plan) -> list[str]:
    """Return the lines before the program, which change to the plan's folder: paths are relative to it."""
    lines = [f"cd {shlex.quote(str(plan.file.parent))} || exit"]
    if plan.slurm.modules:
        lines.append(f"module load {shlex.join(plan.slurm.modules)} || exit")
    return [*lines, *plan.slurm.setup]


def _program(plan: Plan) -> list[str]:
    """Return the quoted words of the command that runs erfscope on a node."""
    slurm = plan.slurm
    if slurm.container is None:
        return _quoted(slurm.program or (sys.executable, "-m", "erfscope"))
    image = slurm.container
    if "://" not in image:
        image = str(plan.file.parent / Path(image).expanduser())
    folders = dict.fromkeys((str(plan.file.parent), str(plan.out), *slurm.bind))
    for folder in list(folders)[:2]:
        if set(folder) & set(":,"):
            raise BatchError(
                f"{folder} can't be mounted in a container because it has a colon or a comma; move it"
            )
    binds = [word for folder in folders for word in ("--bind", folder)]
    return _quoted(
        ("apptainer", "exec", *binds, *slurm.container_options, image, *(slurm.program or ("erfscope",)))
    )


def _quoted(words: Sequence[str]) -> list[str]:
    return [shlex.quote(word) for word in words]


def _command(words: Sequence[str], indent: str) -> str:
    """Return a call of the program, each option and each file on a line of its own."""
    lines = [f'"${{program[@]}}" {words[0]}']
    for before, word in pairwise(words):
        if before.startswith("--"):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return f" \\\n{indent}    ".join(lines)
