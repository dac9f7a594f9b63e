"""The processes of a server.

launcher, for one process -> server, which runs the app
launcher, for several -> supervisor -> a worker for each -> server
"""
