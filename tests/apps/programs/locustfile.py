"""Locust: one user, who is never let loose."""

from locust import HttpUser, task


class Customer(HttpUser):
    host = "http://127.0.0.1:1"

    @task
    def buy(self):
        """Buy something."""
        self.client.get("/")
