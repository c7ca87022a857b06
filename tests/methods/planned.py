from dpbench.core.method import Method
from dpbench.core.specs import Request
from dpbench.privacy.plan import Plan


def plan_of(method: Method, request: Request) -> Plan:
    """The plan of a method for its settings and dataset."""
    return method.plan(method.config, method.spec, request)
