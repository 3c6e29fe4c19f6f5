"""UDP of a VM's own kernel, for tests.

echo IP PORT SIZE...          from one socket, one datagram after the other; a line for each: "SIZE back", or what went wrong
bare IP PORT SIZE             one datagram without DF, whatever its size; waits for nothing
cast IP PORT TEXT COUNT       "<TEXT-0>", "<TEXT-1>" and so on to a broadcast or multicast address
listen PORT COUNT             "ready", then "FROM SIZE whole" for each datagram
"""

import hashlib
import socket
import sys

IP_MTU_DISCOVER, IP_PMTUDISC_DONT = 10, 0
ANSWER_S = 5


def body(size):
    return hashlib.sha256(str(size).encode()).digest() * (size // 32 + 1)


def echo(ip, port, *sizes):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(ANSWER_S)
    s.connect((ip, int(port)))
    for size in map(int, sizes):
        data = body(size)[:size]
        try:
            s.send(data)
            print(f"{size} back" if s.recv(65536) == data else f"{size} changed", flush=True)
        except OSError as error:
            print(f"{size} {type(error).__name__}", flush=True)


def bare(ip, port, size):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
    s.sendto(body(int(size))[: int(size)], (ip, int(port)))


def cast(ip, port, text, count):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
    for i in range(int(count)):
        s.sendto(f"<{text}-{i}>".encode(), (ip, int(port)))


def listen(port, count):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", int(port)))
    print("ready", flush=True)
    for _ in range(int(count)):
        data, (sender, _) = s.recvfrom(65536)
        whole = data == body(len(data))[: len(data)]
        print(f"{sender} {len(data)} {'whole' if whole else 'changed'}", flush=True)


{"echo": echo, "bare": bare, "cast": cast, "listen": listen}[sys.argv[1]](*sys.argv[2:])
