"""A guest: keeps lists and counters, and serves them as the first argument says.

http      http.server with threads: POST /append/KEY, GET /entries/KEY and so on
threads   lines over TCP, a thread for each connection (socketserver)
asyncio   lines over TCP, all connections in one loop
sqlite    lines over TCP, kept in a database file with a commit for each request

Usage: server.py KIND PORT FOLDER
"""
import asyncio
import http.server
import os
import socketserver
import sqlite3
import sys
import threading


class Memory:
    """Lists and counters in memory."""

    def __init__(self):
        self.lock = threading.Lock()
        self.lists = {}
        self.counters = {}

    def ask(self, verb, key, value):
        with self.lock:
            if verb == "append":
                self.lists.setdefault(key, []).append(value)
                return ""
            if verb == "entries":
                return " ".join(map(str, self.lists.get(key, [])))
            if verb == "increment":
                self.counters[key] = self.counters.get(key, 0) + 1
                return str(self.counters[key])
            if verb == "value":
                return str(self.counters.get(key, 0))
        return "ok" if threading.active_count() > 0 else "no threads"


class Database:
    """The same in a file; every request that writes is a transaction."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "numbers.db")
        self.local = threading.local()
        with self.connection() as db:
            db.execute("create table entries (list text, at integer, value integer,"
                       " primary key (list, at))")
            db.execute("create table counters (name text primary key, value integer)")

    def connection(self):
        """One for each thread."""
        if not hasattr(self.local, "db"):
            self.local.db = sqlite3.connect(self.path, timeout=30)
        return self.local.db

    def ask(self, verb, key, value):
        db = self.connection()
        if verb == "append":
            with db:
                db.execute("insert into entries select ?, count(*), ? from entries"
                           " where list = ?", (key, value, key))
            return ""
        if verb == "entries":
            rows = db.execute("select value from entries where list = ? order by at", (key,))
            return " ".join(str(row[0]) for row in rows)
        if verb == "increment":
            with db:
                rows = db.execute("insert into counters values (?, 1) on conflict (name)"
                                  " do update set value = value + 1 returning value", (key,))
                return str(rows.fetchall()[0][0])
        if verb == "value":
            rows = db.execute("select value from counters where name = ?", (key,))
            return "".join(str(row[0]) for row in rows)
        return db.execute("pragma integrity_check").fetchone()[0]


def answer_line(store, line):
    verb, key, *rest = line.decode().split()
    return f"{store.ask(verb, key, int(rest[0]) if rest else None)}\n".encode()


class Lines(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        for line in self.rfile:
            self.wfile.write(answer_line(self.server.store, line))


class LineServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            super().handle_error(request, client_address)


class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        size = int(self.headers.get("content-length", 0))
        body = self.rfile.read(size)
        _, verb, key = self.path.split("/")
        text = self.server.store.ask(verb, key, int(body) if body else None).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def log_message(self, *_):
        pass


async def serve_asyncio(store, port):
    async def serve(reader, writer):
        try:
            while line := await reader.readline():
                # Another connection's turn, in the middle of ours.
                await asyncio.sleep(0.001)
                writer.write(answer_line(store, line))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "0.0.0.0", port)
    async with server:
        await server.serve_forever()


def main(kind, port, folder):
    address = ("0.0.0.0", int(port))
    if kind == "asyncio":
        asyncio.run(serve_asyncio(Memory(), int(port)))
        return
    if kind == "http":
        server = http.server.ThreadingHTTPServer(address, Pages)
    else:
        server = LineServer(address, Lines)
    server.store = Database(folder) if kind == "sqlite" else Memory()
    server.serve_forever()


main(*sys.argv[1:])
