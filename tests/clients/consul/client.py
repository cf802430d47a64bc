"""Drives a platform with the unmodified PyPI package `py-consul`.

    python3 client.py HOST PORT

It ends with status 0 and a last line of JSON, or with the assertion that failed.
"""

import json
import sys
import threading
import time

import consul

HOST, PORT = sys.argv[1], int(sys.argv[2])
CLIENT = consul.Consul(host=HOST, port=PORT)
STEPS = []


def step(work):
    work()
    STEPS.append(work.__name__)


def refused(work, said):
    try:
        work()
    except consul.ConsulException as error:
        assert said in str(error), error
        return
    raise AssertionError(f"was not refused: {said}")


def later(work):
    """Runs `work` beside what follows, with a client of its own."""
    thread = threading.Thread(target=lambda: work(consul.Consul(host=HOST, port=PORT)))
    thread.start()
    return thread


def services():
    for number in (1, 2):
        done = CLIENT.agent.service.register(
            "python",
            service_id=f"python-{number}",
            address="127.0.0.1",
            port=9,
            tags=["v1", f"n{number}"],
            meta={"version": str(number)},
            check=consul.Check.ttl("60s"),
            extra_checks=[{"CheckID": f"more-{number}", "Name": "more", "TTL": "60s"}],
        )
        assert done
        assert CLIENT.agent.check.ttl_pass(f"service:python-{number}:1", "fine")
        assert CLIENT.agent.check.ttl_pass(f"more-{number}")
    assert sorted(CLIENT.agent.services()) == ["python-1", "python-2"]
    _, catalog = CLIENT.catalog.services()
    assert catalog["python"] == ["n1", "n2", "v1"], catalog
    _, entries = CLIENT.health.service("python", passing=True, tag=["v1", "n2"])
    assert [entry["Service"]["ID"] for entry in entries] == ["python-2"]
    assert len(entries[0]["Checks"]) == 2
    _, nodes = CLIENT.catalog.nodes()
    _, node = CLIENT.catalog.node(nodes[0]["Node"])
    assert sorted(node["Services"]) == ["python-1", "python-2"]
    assert CLIENT.catalog.datacenters() == ["dc1"]
    assert CLIENT.agent.service_definition("python-1")["Port"] == 9


def filters():
    _, entries = CLIENT.health.service("python", filter_expr='Service.Meta.version == "2"')
    assert [entry["Service"]["ID"] for entry in entries] == ["python-2"]
    _, found = CLIENT.catalog.service("python", filter_expr='"n1" in ServiceTags')
    assert len(found) == 1
    assert list(CLIENT.agent.checks(filter_expr="CheckID matches `^more-1`")) == ["more-1"]
    _, checks = CLIENT.health.checks("python", filter_expr='ServiceID == "python-1"')
    assert len(checks) == 2
    refused(lambda: CLIENT.health.service("python", filter_expr="Nope == 1"), "is not valid")


def checks():
    assert CLIENT.agent.check.ttl_fail("more-1", "by the test")
    _, critical = CLIENT.health.state("critical")
    assert [check["Output"] for check in critical] == ["by the test"]
    assert CLIENT.agent.check.ttl_warn("more-1")
    _, entries = CLIENT.health.service("python", passing=True)
    assert [entry["Service"]["ID"] for entry in entries] == ["python-2"]
    added = CLIENT.agent.check.register(
        "port", check=consul.Check.tcp("127.0.0.1", PORT, "1s", "1s"), service_id="python-1"
    )
    assert added
    assert CLIENT.agent.check.deregister("port")
    assert CLIENT.agent.check.ttl_pass("more-1")
    for check in (
        consul.Check.script(["/bin/true"], "1s"),
        consul.Check.docker("id", "/bin/sh", "true", "1s"),
        consul.Check.grpc("127.0.0.1:1", "1s"),
    ):
        refused(lambda: CLIENT.agent.service.register("bad", check=check), "not supported")


def maintenance():
    assert CLIENT.agent.service.maintenance("python-1", True, "upgrade")
    _, entries = CLIENT.health.service("python", passing=True)
    assert [entry["Service"]["ID"] for entry in entries] == ["python-2"]
    assert CLIENT.agent.service.maintenance("python-1", False)
    assert CLIENT.agent.maintenance(True, "all of it")
    assert CLIENT.health.service("python", passing=True)[1] == []
    assert CLIENT.agent.maintenance(False)
    assert len(CLIENT.health.service("python", passing=True)[1]) == 2


def external():
    done = CLIENT.catalog.register(
        "partner", "10.0.0.7", service={"Service": "db", "ID": "db-1", "Port": 5432}
    )
    assert done
    _, entries = CLIENT.health.service("db")
    assert entries[0]["Node"]["Node"] == "partner"
    assert CLIENT.catalog.deregister("partner", service_id="db-1")
    assert CLIENT.health.service("db")[1] == []
    assert CLIENT.catalog.deregister("partner")


def watch():
    index, _ = CLIENT.health.service("python")
    thread = later(lambda other: other.agent.service.deregister("python-2"))
    begun = time.monotonic()
    changed, entries = CLIENT.health.service("python", index=index, wait="20s")
    thread.join()
    assert len(entries) == 1 and int(changed) > int(index), entries
    assert time.monotonic() - begun < 15, "woken, and not timed out"
    begun = time.monotonic()
    CLIENT.health.service("python", index=10**12, wait="60s")
    assert time.monotonic() - begun < 15, "an index of another life is not waited for"
    begun = time.monotonic()
    CLIENT.health.service("python", index=changed, wait="1s")
    assert time.monotonic() - begun >= 1, "nothing changed"


def keys():
    assert CLIENT.kv.put("app/a", "이음")
    index, entry = CLIENT.kv.get("app/a")
    assert entry["Value"].decode() == "이음"
    assert CLIENT.kv.put("app/b", b"\x00\xff", flags=7)
    assert CLIENT.kv.get("app/b")[1]["Value"] == b"\x00\xff"
    assert CLIENT.kv.put("app/empty", "")
    assert CLIENT.kv.get("app/empty")[1]["Value"] is None
    assert len(CLIENT.kv.get("app/", recurse=True)[1]) == 3
    assert CLIENT.kv.get("a", keys=True, separator="/")[1] == ["app/"]
    assert CLIENT.kv.get("missing")[1] is None
    assert CLIENT.kv.put("app/new", "1", cas=0) is True
    assert CLIENT.kv.put("app/new", "2", cas=0) is False
    thread = later(lambda other: other.kv.put("app/a", "changed"))
    changed, entry = CLIENT.kv.get("app/a", index=index, wait="20s")
    thread.join()
    assert entry["Value"] == b"changed" and int(changed) > int(index)
    thread = later(lambda other: other.kv.delete("app/a"))
    deleted, entry = CLIENT.kv.get("app/a", index=changed, wait="20s")
    thread.join()
    assert entry is None and int(deleted) > int(changed), "an index does not go back"
    done = CLIENT.txn.put([{"KV": {"Verb": "get", "Key": "app/new"}}])
    assert done["Results"][0]["KV"]["Value"] == "MQ=="
    assert CLIENT.kv.delete("app/", recurse=True)
    assert CLIENT.kv.get("app/", recurse=True)[1] is None


def sessions():
    one = CLIENT.session.create("one", ttl=30, lock_delay=0)
    two = CLIENT.session.create("two", behavior="delete", lock_delay=0)
    assert CLIENT.kv.put("leader", "one", acquire=one) is True
    assert CLIENT.kv.put("leader", "two", acquire=two) is False
    index, entry = CLIENT.kv.get("leader")
    assert entry["Session"] == one and entry["LockIndex"] == 1
    assert CLIENT.session.info(one)[1]["Name"] == "one"
    assert CLIENT.session.renew(one)["ID"] == one
    assert len(CLIENT.session.list()[1]) == 2
    thread = later(lambda other: other.session.destroy(one))
    _, entry = CLIENT.kv.get("leader", index=index, wait="20s")
    thread.join()
    assert "Session" not in entry, entry
    assert CLIENT.kv.put("leader", "two", acquire=two) is True
    assert CLIENT.kv.put("leader", "two", release=two) is True
    assert CLIENT.kv.put("leader", "two", acquire=two) is True
    assert CLIENT.session.destroy(two)
    assert CLIENT.kv.get("leader")[1] is None, "deleted with its session"
    refused(lambda: CLIENT.session.create("short", ttl=10, checks=["nope"]), "Missing check")


for work in (services, filters, checks, maintenance, external, watch, keys, sessions):
    step(work)
print(json.dumps({"client": "py-consul", "steps": STEPS}))
