"""TensorFlow Lite models: custom and Flex operators, and each buffer inside the file.

Source: tensorflow ``lite/schema/schema.fbs`` version 3; slot numbers beside the code.
"""

from tasks.domain.severity import Severity
from tasks.scanners.flatbuffer import BrokenBuffer, Table
from tasks.scanners.inspection import Inspection
from tasks.scanners.reading import View
from tasks.scanners.saved_model import judge_operator

_OWN = frozenset({"TFLite_Detection_PostProcess", "Convolution2DTransposeBias"})


def looks_like_tflite(view: View) -> bool:
    """Answers whether the file identifier is there."""
    return view.head(8)[4:8] == b"TFL3"


def inspect_tflite(view: View, inspection: Inspection) -> str:
    """Model: 1 operator_codes (1 custom_code), 2 subgraphs, 4 buffers."""
    try:
        model = Table.root(view)
        for code in model.tables(1):
            _operator(code.text(1), inspection)
        if not sum(1 for _ in model.tables(2)):
            inspection.note("tflite.malformed", Severity.MEDIUM, "the model has no graph")
        for buffer in model.tables(4):
            buffer.data(0)  # a length that leads outside is found here
    except BrokenBuffer as reason:
        inspection.note("tflite.malformed", Severity.MEDIUM, str(reason))
    return "tflite"


def _operator(name: str, inspection: Inspection) -> None:
    if not name or name in _OWN:
        return
    if name.startswith("Flex"):
        judge_operator(name.removeprefix("Flex"), inspection)
    else:
        text = f"{name} is a custom operator; running it needs a vendor's library"
        inspection.note("tflite.custom_operator", Severity.MEDIUM, text)
