"""The command line: `deployer run`, `agents`, `jobs` and the rest, over `deployer.client`."""
