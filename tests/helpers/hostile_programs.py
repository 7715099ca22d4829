"""Programs that reach out of the network, and descriptions that are bombs. Each maker writes one."""

import io
import os
import warnings
import zipfile
from functools import cache

import torch
from hostile_pickles import Calls
from safetensors.torch import save_file
from small_networks import SmallNet, seeded


@cache
def script():
    """Bytes of a sound TorchScript archive."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.save(torch.jit.script(seeded(SmallNet()).eval()), file)
    return file.getvalue()


@cache
def exported():
    """Bytes of a sound exported program."""
    file = io.BytesIO()
    program = torch.export.export(seeded(SmallNet()).eval(), (torch.zeros(1, 3, 16, 16),))
    torch.export.save(program, file)
    return file.getvalue()


def rewritten(content, path, change):
    """Write an archive with each member's content changed."""
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            new.writestr(member, change(member.filename, old.read(member)))
    return path


def with_line(line):
    """A TorchScript archive whose network begins with that line."""

    def change(name, content):
        if name.endswith("/code/__torch__/small_networks.py"):
            start, signature, rest = content.decode().partition("x: Tensor) -> Tensor:\n")
            assert signature
            return f"{start}{signature}    {line}\n{rest}".encode()
        return content

    return lambda folder: rewritten(script(), folder / "w.pt", change)


def with_method(code):
    def change(name, content):
        return content + code.encode() if name.endswith("/code/__torch__/small_networks.py") else content

    return lambda folder: rewritten(script(), folder / "w.pt", change)


def script_with_pickle(folder):
    hostile = b"\x80\x02cposix\nsystem\nX\x0e\x00\x00\x00mkdir executed\x85R."
    return rewritten(
        script(), folder / "w.pt", lambda name, old: hostile if name.endswith("/data.pkl") else old
    )


def cut_script(folder):
    (folder / "w.pt").write_bytes(script()[: len(script()) // 2])
    return folder / "w.pt"


def doctored_program(folder):
    """An exported program whose sample inputs run a command when they are unpickled."""
    inputs = io.BytesIO()
    torch.save(Calls(os.system, "mkdir executed"), inputs)
    return rewritten(
        exported(),
        folder / "w.pt2",
        lambda name, old: inputs.getvalue() if name.endswith("sample_inputs/model.pt") else old,
    )


def external(location):
    """An ONNX file whose weights lie in another file."""

    def make(folder):
        import onnx
        from onnx import TensorProto, helper

        weight = helper.make_tensor("w", TensorProto.FLOAT, [4], b"\0" * 16, raw=True)
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "16")):
            weight.external_data.add(key=key, value=value)
        image, logits = (
            helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, 8, 8]) for n in ("x", "y")
        )
        graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [image], [logits], [weight])
        (folder / "w.onnx").write_bytes(helper.make_model(graph).SerializeToString())
        (folder.parent / "outside.bin").write_bytes(b"\0" * 16)
        (folder / "link.bin").symlink_to(folder.parent / "outside.bin")
        assert onnx.__version__
        return folder / "w.onnx"

    return make


def onnx_file(content):
    def make(folder):
        (folder / "w.onnx").write_bytes(content)
        return folder / "w.onnx"

    return make


def described(config):
    """A sound safetensors file with a description."""

    def make(folder):
        save_file({"weight": torch.zeros(4)}, folder / "w.safetensors")
        (folder / "w.json").write_bytes(config) if isinstance(config, bytes) else config(folder / "w.json")
        return folder / "w.safetensors"

    return make


REFUSED = {
    "script reads a file": (
        with_line(
            '_e = torch.from_file("w.pt", False, 4, dtype=0, layout=None, device=None, pin_memory=False)'
        ),
        "calls aten::from_file.*--trust",
    ),
    "script writes a file": (with_line('ops.aten.save(x, "executed")'), "calls aten::save.*--trust"),
    "script calls another library": (with_line("_e = ops.evil.run(x)"), "calls evil::run.*--trust"),
    "script calls Python": (with_line("_e = ops.prim.PythonOp(x)"), "calls prim::PythonOp.*--trust"),
    "script with an object of C++": (
        with_line("_e = __torch__.torch.classes.evil.Runner(x)"),
        "object of C\\+\\+ code, evil.Runner.*--trust",
    ),
    "script that runs when it is loaded": (
        with_method(
            "  def __setstate__(self: __torch__.small_networks.SmallNet,\n    state: int) -> None:\n"
            "    return None\n"
        ),
        "runs code while it is loaded.*--trust",
    ),
    "script in another language": (with_line("^Evil()(x)"), "no code that TorchScript writes"),
    "script of endless parentheses": (with_line("_e = " + "(" * 10_000 + "x" + ")" * 10_000), "no code that"),
    "script with an operator that isn't": (
        with_line("_e = torch.nothing_such(x)"),
        "no readable TorchScript",
    ),
    "script with a hostile pickle": (script_with_pickle, "no readable TorchScript"),
    "script cut in half": (cut_script, "cut off or damaged"),
    "doctored program": (doctored_program, "is an exported program.*--trust"),
    "ONNX of noise": (onnx_file(bytes(range(128, 256)) * 9), "no readable ONNX file"),
    "ONNX of text": (onnx_file(b"hello world"), "is a text file"),
    "ONNX with weights out of its folder": (external("../outside.bin"), "out of its folder"),
    "ONNX with absolute weights": (external("/etc/passwd"), "out of its folder"),
    "ONNX with weights behind a link": (external("link.bin"), "out of its folder"),
    "ONNX without its weights": (external("gone.bin"), "is no file"),
}
#: Descriptions that are given by --config, for a sound file.
CONFIGS = {
    "nested lists": (described(b'{"model_type": ' + b"[" * 100_000), "no readable JSON"),
    "nested objects": (described(b'{"a":' * 5_000 + b"1" + b"}" * 5_000), "no readable JSON"),
    "10 MB": (described(b'{"model_type": "' + b"x" * 10_000_000 + b'"}'), "too many for a description"),
    "a million values": (described(b'{"model_type": [' + b"1," * 1_000_000 + b"1]}"), "no readable JSON"),
    "a huge number": (described(b'{"model_type": ' + b"9" * 100_000 + b"}"), "no readable JSON"),
    "a list": (described(b"[1, 2]"), "no JSON object"),
    "text": (described(b"hello"), "no readable JSON"),
    "nothing": (described(b""), "no readable JSON"),
    "another description": (described(b'{"name": "fcn"}'), "describes no network"),
    "a pipe": (described(lambda path: os.mkfifo(path)), "is a pipe"),
    "a folder": (described(lambda path: path.mkdir()), "is a folder"),
    "a link to itself": (described(lambda path: path.symlink_to(path.name)), "leads back to itself"),
}
