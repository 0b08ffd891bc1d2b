# What `bench preloaded` starts: see bench/src/bin/bench/preloaded.rs.
import gc
import json
import os
import random
import signal
import socket
import time


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


WANTED = resident() + int(os.environ["BENCH_LOAD_BYTES"])
RECORDS = []
while resident() < WANTED:
    for number in range(len(RECORDS), len(RECORDS) + 1000):
        RECORDS.append({"id": number, "name": "record %d" % number, "price": random.random()})
while time.process_time() < float(os.environ["BENCH_LOAD_SECONDS"]):
    hash(RECORDS[-1]["name"])


def use():
    """Every record is looked at, and then all garbage collected."""
    sum(record["price"] + len(record["name"]) for record in RECORDS)
    gc.collect()


def connect(variable):
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(os.environ[variable])
    return peer


def done():
    connect("BENCH_DONE_PATH").close()


def einhorn_main():
    signals = {signal.SIGUSR1, signal.SIGUSR2}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    master = connect("EINHORN_SOCK_PATH")
    request = {"command": "worker:ack", "pid": os.getpid()}
    master.sendall(json.dumps(request).encode() + b"\n")
    master.recv(1)
    done()
    while signal.sigwait(signals) == signal.SIGUSR1:
        use()
        done()


if __name__ == "__main__":
    einhorn_main()
