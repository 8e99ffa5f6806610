"""The command line: `deployer run`, `top`, `agents` and the rest, over `deployer.client`."""
