"""An HTTP request becomes one call of a model.

Read in this order; each module imports only those above it:

    problems   every error becomes one RFC 9457 problem document
    encoding   JSON in and out
    metrics    Prometheus families and their closed label sets
    app        create_app(): the routes
    engine/    the connections: bytes become requests, requests get a thread
    httpd      the server: sizes, timeouts, draining; all that knows cheroot
"""
