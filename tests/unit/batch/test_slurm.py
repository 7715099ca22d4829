"""The scripts for SLURM, as text; a real SLURM runs them in tests/integration/test_slurm.py."""

import shlex
import subprocess
import sys

import pytest
from small_study import NAME, plan

from erfscope.batch.slurm import write_script
from erfscope.batch.tasks import expand, files_of
from erfscope.errors import BatchError

SLURM = {
    "partition": "gpu",
    "account": "me",
    "time": "04:00:00",
    "gres": "gpu:1",
    "cpus_per_task": 4,
    "modules": ["python/3.11", "cuda"],
    "setup": ["source env/bin/activate"],
    "program": ["erfscope"],
    "max_running": 2,
    "signal_seconds": 90,
    "options": {"mail-user": "me@example.org", "exclusive": True, "overcommit": False},
    "merge": {"time": "00:10:00", "cpus_per_task": 1},
    "measure": {"partition": "cpu", "options": {"nice": 100}},
}

COMPUTE = """\
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --output={folder}/compute-%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --array=0-11%2
#SBATCH --signal=B:USR1@90
#SBATCH --partition=gpu
#SBATCH --account=me
#SBATCH --time=04:00:00
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --mail-user=me@example.org
#SBATCH --exclusive
# From {plan} by erfscope batch, which writes it anew.

# Marks in the log where a run begins and how it ended, for `erfscope batch status`.
say() {{ echo "erfscope batch: $(date -Iseconds) $*"; }}
say starts as job "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID" on "$(hostname)"

# SLURM sends USR1 before the time limit: the process saves, ends with 75, and the job is queued again.
# TERM comes by scancel and preemption: it is passed on, but SLURM alone decides whether the job runs again.
asked= child= code=75
trap 'asked=USR1; [ -z "$child" ] || kill -USR1 "$child"' USR1
trap 'asked=TERM; [ -z "$child" ] || kill -TERM "$child"' TERM

cd {here} || exit
module load python/3.11 cuda || exit
source env/bin/activate
program=(erfscope)

shard=$(printf %02d "$SLURM_ARRAY_TASK_ID")
if [ -z "$asked" ]; then
    "${{program[@]}}" compute \\
        --model fcn \\
        --backbone resnet18 \\
        --num-classes 3 \\
        --data synthetic-leaves \\
        --images 4 \\
        --size 33 \\
        --shard "$SLURM_ARRAY_TASK_ID/12" \\
        --out {folder}/erf.shard-"$shard"-of-12.h5 \\
        --resume &
    child=$!
    while wait "$child"; kill -0 "$child" 2>/dev/null; do :; done  # a signal ends wait, not the process
    wait "$child"
    code=$?
fi
say ended with "$code"
case "$asked$code" in
75 | USR175 | USR1138) # 138: it came before the process could handle it
    if [ "${{SLURM_RESTART_COUNT:-0}}" -lt 100 ]; then
        scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
    fi
    ;;
esac
exit "$code"
"""

MEASURE = """\
#!/bin/bash
#SBATCH --job-name={name}.measure
#SBATCH --output={folder}/measure.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --partition=cpu
#SBATCH --account=me
#SBATCH --time=04:00:00
#SBATCH --cpus-per-task=4
#SBATCH --nice=100
# From {plan} by erfscope batch, which writes it anew.

# Marks in the log where a run begins and how it ended, for `erfscope batch status`.
say() {{ echo "erfscope batch: $(date -Iseconds) $*"; }}
say starts as job "$SLURM_JOB_ID" on "$(hostname)"

cd {here} || exit
module load python/3.11 cuda || exit
source env/bin/activate
program=(erfscope)

# NAME.json is what the command NAME prints, whole or not at all; the rest goes to NAME.log.
measure() {{
    local name=$1 code
    say starts as job "$SLURM_JOB_ID" >>"$name.log"
    "${{program[@]}}" "$@" >".$name.json.part" 2>>"$name.log" && mv ".$name.json.part" "$name.json"
    code=$?
    say ended with "$code" >>"$name.log"
    [ "$code" = 0 ] || failed=2
}}

cd {folder} || exit
failed=0
measure star-distance {folder}/erf.h5 --json
measure pattern {folder}/erf.h5 --json
say ended with "$failed"
exit "$failed"
"""


def script(made, stage, *indices):
    """The script of a stage, of all its tasks or of some."""
    tasks = [task for task in expand(made) if task.stage == stage]
    return write_script(made, [tasks[index] for index in indices] if indices else tasks)


def places(made):
    return {
        "name": NAME,
        "folder": files_of(made, NAME).folder,
        "plan": made.file,
        "here": made.file.parent,
    }


def test_whole_scripts(tmp_path):
    made = plan(tmp_path, shards=12, slurm=SLURM)
    assert script(made, "compute") == COMPUTE.format(**places(made))
    assert script(made, "measure") == MEASURE.format(**places(made))
    merge = script(made, "merge")
    folder = files_of(made, NAME).folder
    assert "#SBATCH --time=00:10:00\n#SBATCH --cpus-per-task=1\n#SBATCH --mail-user=me@example.org\n" in merge
    assert "--gres" not in merge
    shards = "".join(f"    {folder}/erf.shard-{n:02d}-of-12.h5 \\\n" for n in range(12))
    assert f'"${{program[@]}}" merge \\\n{shards}    --out {folder}/erf.h5 \\\n    --overwrite\n' in merge


def test_some_shards_are_named_and_one_needs_no_array(tmp_path):
    some = script(plan(tmp_path, shards=12), "compute", 1, 3, 4, 5, 11)
    assert "#SBATCH --array=1,3-5,11\n" in some
    alone = script(plan(tmp_path), "compute")
    assert "array" not in alone.lower()
    assert "--shard" not in alone
    assert 'scontrol requeue "$SLURM_JOB_ID"' in alone
    assert f"program=({sys.executable} -m erfscope)" in alone


def test_a_container_sees_plan_and_study(tmp_path):
    slurm = {"container": "images/erf scope.sif", "container_options": ["--nv"], "bind": ["/data:/in"]}
    made = plan(tmp_path, slurm=slurm)
    image = shlex.quote(str(tmp_path / "images" / "erf scope.sif"))
    binds = f"--bind {tmp_path} --bind {tmp_path / 'study'} --bind /data:/in"
    assert f"program=(apptainer exec {binds} --nv {image} erfscope)" in script(made, "compute")
    made = plan(tmp_path, slurm={"container": "docker://erfscope", "program": ["python", "-m", "erfscope"]})
    assert "docker://erfscope python -m erfscope)" in script(made, "merge" if made.shards > 1 else "compute")


@pytest.mark.parametrize("folder", ["a b", "it's", 'say "so"', "$HOME", "#1", "100%j", "`x`", "ü&;"])
def test_bash_takes_any_folder_as_it_is(tmp_path, folder):
    # What bash would call is printed instead, one word a line.
    made = plan(tmp_path / folder, shards=2, slurm={"program": ["printf", "%s\\n"]})
    for stage in ("compute", "merge", "measure"):
        path = tmp_path / "script.sh"
        path.write_text(script(made, stage))
        subprocess.run(["bash", "-n", path], check=True)
        files_of(made, NAME).folder.mkdir(parents=True, exist_ok=True)
        environment = {"PATH": "/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": "1", "SLURM_RESTART_COUNT": "100"}
        ran = subprocess.run(["bash", path], env=environment, capture_output=True, text=True, check=False)
        task = [task for task in expand(made) if task.stage == stage][-1]
        said = task.file.read_text() if task.prints else ran.stdout
        words = [word for word in task.words if word.startswith("/")]
        assert words
        for word in words:
            assert word in said.splitlines(), (word, said, ran.stderr)


@pytest.mark.parametrize(
    ("slurm", "said"),
    [
        ({"options": {"array": "0-9"}}, "[slurm] options has 'array'; expected a long option"),
        ({"options": {"job_name": "x"}}, "[slurm] options has 'job_name'"),
        ({"options": {"a b": "x"}}, "[slurm] options has 'a b'"),
        ({"options": {"mail-user": ["x"]}}, "options.mail-user = ['x']; expected a text, a number or true"),
    ],
)
def test_options_that_cant_be_are_told(tmp_path, slurm, said):
    with pytest.raises(BatchError) as raised:
        script(plan(tmp_path, slurm=slurm), "compute")
    assert said in str(raised.value)


def test_folders_that_slurm_or_a_container_cant_take_are_told(tmp_path):
    with pytest.raises(BatchError, match="backslash"):
        script(plan(tmp_path / "a\\b"), "compute")
    with pytest.raises(BatchError, match="colon or a comma"):
        script(plan(tmp_path / "a:b", slurm={"container": "x.sif"}), "compute")


def test_a_signal_reaches_the_process_and_only_usr1_queues_again(tmp_path):
    """In a bash of its own, with small scripts in the place of `scontrol` and the program."""
    program = tmp_path / "bin" / "program"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/bash\n"
        "trap 'echo saved by USR1; exit 75' USR1\n"
        "trap 'echo saved by TERM; exit 75' TERM\n"
        "echo ready\n"
        "while :; do sleep 0.05; done\n"
    )
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.write_text("#!/bin/bash\necho scontrol $*\n")
    for each in (program, scontrol):
        each.chmod(0o755)
    path = tmp_path / "script.sh"
    path.write_text(script(plan(tmp_path, slurm={"program": [str(program)]}), "compute"))
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "SLURM_JOB_ID": "12"}
    for sent, queued in (("USR1", True), ("TERM", False)):
        with subprocess.Popen(["bash", path], env=environment, stdout=subprocess.PIPE, text=True) as job:
            assert job.stdout is not None
            assert any(line == "ready\n" for line in job.stdout)
            subprocess.run(["kill", f"-{sent}", str(job.pid)], check=True)
            said = job.stdout.read()
        assert job.returncode == 75
        assert f"saved by {sent}" in said
        assert "ended with 75" in said
        assert ("scontrol requeue 12" in said) == queued
