"""`python -m deployer`: the command line, where its script is not on the PATH."""

from deployer.cli.main import main

if __name__ == "__main__":
    main(prog_name="deployer")
