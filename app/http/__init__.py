"""HTTP, apart from what the routes mean: connections, requests, bodies, and errors as answers."""
