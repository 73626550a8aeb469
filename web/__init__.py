"""An HTTP request becomes one call of a model.

Read in this order; each module imports only those above it:

    problems   every error becomes one RFC 9457 problem document
    values     what a result may hold besides plain JSON, one value at a time
    arrays     numpy and pandas
    plain      a result is taken apart until every piece is plain, and says where it is not
    encoding   JSON in and out
    incoming   what is read from a request before a model sees it
    scoring    one call of a model that holds its slot
    fanout     `/all`: one request becomes one call of every model, side by side
    metrics    Prometheus families and their closed label sets
    answers    whole answers: what every one carries, and how it is counted
    pages      what the server says of itself
    app        the routes
    engine/    the connections: bytes become requests, requests get a thread
    httpd      the server: sizes, timeouts, draining; with engine/ all that knows cheroot
"""
