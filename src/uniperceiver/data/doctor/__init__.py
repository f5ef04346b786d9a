"""A doctor for data sets: what is wrong with the files, which they are, and how to mend them.

The readers of `uniperceiver.data.datasets` stop at the first thing wrong; the doctor survives it and goes on. So every
format has a check here that works on the raw files.
"""

from uniperceiver.data.doctor.check import check_data
from uniperceiver.data.doctor.diagnosis import Diagnosis, Finding
from uniperceiver.data.doctor.kinds import Kind, Severity

__all__ = ["Diagnosis", "Finding", "Kind", "Severity", "check_data"]
