"""What `twistd --help` lists. Strings only: nothing of ours is imported until a command is chosen."""

from twisted.application.service import ServiceMaker

deployer_master = ServiceMaker(
    "Deployer master", "deployer.tap", "REST API, dispatcher and receivers in one reactor", "deployer-master"
)
deployer_agent = ServiceMaker(
    "Deployer agent", "deployer_agent.tap", "runs what the master asks for on this host", "deployer-agent"
)
