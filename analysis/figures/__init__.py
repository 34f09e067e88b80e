"""The figures by name, one file each: its claim, the runs it needs, the table it draws and the drawing."""

from analysis.figures import backend as backend  # before anything else that imports matplotlib
from analysis.figures.figure import Figure
from analysis.figures.hacking import HACKING
from analysis.figures.inoculation import INOCULATION
from analysis.figures.law import LAW
from analysis.figures.mitigations import MITIGATIONS
from analysis.figures.route import ROUTE
from analysis.figures.testtime import TESTTIME

FIGURES: dict[str, Figure] = {
    figure.name: figure for figure in (HACKING, INOCULATION, TESTTIME, ROUTE, LAW, MITIGATIONS)
}
