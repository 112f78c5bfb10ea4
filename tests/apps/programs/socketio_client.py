"""A client of ``socketio_site.py``: takes a port and a transport, and prints what it saw as JSON."""

import json
import sys
import threading
import time

import socketio

URL, TRANSPORT = f"http://127.0.0.1:{sys.argv[1]}", sys.argv[2]
saw = []
thanked = threading.Event()

client = socketio.Client(reconnection=False)
client.on("ordered", lambda pieces: saw.append(["ordered", pieces]))
client.on("asked", lambda: 7)
client.on("thanks", thanked.set)
client.connect(URL, transports=[TRANSPORT], namespaces=["/", "/lenient"], wait=True)
saw.append(["transport", client.transport()])
saw.append(["order", client.call("order", 3)])
client.emit("broken")
saw.append(["made-up", client.call("made-up", {"any": "thing"})])
saw.append(["lenient", client.call("order", namespace="/lenient")])
client.emit("question")
saw.append(["thanked", thanked.wait(10)])
time.sleep(1)  # the library's client, while it still sends an answer, goes without a word
client.disconnect()

refused = socketio.Client(reconnection=False)
refused.on("connect_error", lambda data: saw.append(["refused", data]), namespace="/closed")
try:
    refused.connect(URL, auth={"token": None}, transports=[TRANSPORT], namespaces=["/closed"], wait=True)
except socketio.exceptions.ConnectionError:
    saw.append(["not connected"])
refused.disconnect()
sys.stdout.write(json.dumps(saw))
