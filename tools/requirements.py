"""Print what setup.cfg requires, with the extras named, for pip: the checkout itself is not installed.

`pip install -e` would hide the twistd plugins.
"""

import configparser
import sys

config = configparser.ConfigParser()
config.read("setup.cfg")
wanted = config["options"]["install_requires"].split("\n")
for extra in sys.argv[1].split(","):
    wanted += config["options.extras_require"][extra].split("\n")
sys.stdout.write("\n".join(line for line in wanted if line))
