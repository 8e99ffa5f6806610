"""Everything is in setup.cfg; only the package list needs code.

`twisted.plugins` is a namespace shared with Twisted and lies outside src/.
"""

from setuptools import find_packages, setup

setup(packages=[*find_packages("src"), "twisted.plugins"])
