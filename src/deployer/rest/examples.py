"""What requests look like: examples of the API's description, by the names of their records and of parts of paths."""

from collections.abc import Mapping
from typing import Any, Final

BODIES: Final[Mapping[str, Any]] = {
    "Admission": {"gid": 1, "nid": 12},
    "Change": {"priority": 5, "max_time": 600},
    "CompanyRequest": {"name": "acme"},
    "GridRequest": {"gid": 2},
    "JobRequest": {
        "id": "deploy-42",
        "cmd": "execute",
        "args": {"cmd": "systemctl", "args": ["restart", "nginx"], "max_time": 60},
        "target": "1:1",
    },
    "JoinTokenRequest": {"name": "rack 7", "gid": 1, "uses": 40},
    "LogIn": {"company": "acme", "user": "eve", "password": "correct horse battery staple"},
    "MonitorChange": {"thresholds": [{"metric": "rss", "above": 2_000_000_000, "for_s": 120}]},
    "MonitorRequest": {
        "name": "nginx",
        "agent": "1:1",
        "processes": [{"domain": "web", "name": "nginx"}],
        "thresholds": [{"metric": "processes", "below": 1, "for_s": 60}, {"metric": "cpu", "above": 150, "for_s": 300}],
    },
    "MoreTasks": {"target": "role=web and rack=r8"},
    "PasswordRequest": {"password": "correct horse battery staple"},
    "Rerun": {"id": "deploy-42-again"},
    "ScheduleChange": {"cron": "30 4 * * 1-5", "paused": False},
    "ScheduleRequest": {
        "name": "nightly-backup",
        "cron": "30 2 * * *",
        "timezone": "Europe/Berlin",
        "job": {"cmd": "execute", "args": {"cmd": "/usr/local/bin/backup"}, "target": "role=db"},
    },
    "TokenRequest": {"name": "nightly build", "user": "ci", "role": "operator"},
    "TraitsChange": {"roles": ["web"], "labels": {"owner": "eve", "old": None}, "rack": "r7"},
    "WebhookChange": {"paused": True},
    "WebhookRequest": {"name": "chat", "url": "https://chat.example.com/hooks/42", "events": ["job.state", "agent"]},
    "UserChange": {"role": "operator", "agents": ["1:1", "1:2"]},
    "UserRequest": {"name": "eve", "email": "eve@example.com", "role": "operator"},
}
TEXT: Final = 'result({"free": get_disk_info()})\n'
PATHS: Final[Mapping[str, str]] = {
    "agent": "1:1",
    "company": "acme",
    "domain": "backup",
    "fingerprint": "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    "host": "1:1",
    "job": "deploy-42",
    "master": "0193a5c27e3b7c41a9d2f8e6b1c07d54",
    "monitor": "0193a5c27e3b7c41a9d2f8e6b1c07d55",
    "name": "free-space",
    "process": "deploy-42@1:1.1",
    "schedule": "0193a5c27e3b7c41a9d2f8e6b1c07d56",
    "task": "1:1",
    "token_id": "5f0c9a1b7d3e2468",
    "user": "eve",
    "webhook": "0193a5c27e3b7c41a9d2f8e6b1c07d56",
}
