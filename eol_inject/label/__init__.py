"""Stage label: template → bitmap → decoded and compared → a sink by URL.

``render`` takes a ``Proven`` and nothing else, so a label cannot say what the unit does not hold.
Pillow, reportlab and the decoder load when the first label is rendered.
"""

from eol_inject.label.bitmap import Label
from eol_inject.label.printers import Printed, Printer, PrintOutcome, open_printer
from eol_inject.label.render import render
from eol_inject.label.sheet import sheet_pdf
from eol_inject.label.template import Template, check_template, load_template, shipped

__all__ = [
    "Label",
    "PrintOutcome",
    "Printed",
    "Printer",
    "Template",
    "check_template",
    "load_template",
    "open_printer",
    "render",
    "sheet_pdf",
    "shipped",
]
