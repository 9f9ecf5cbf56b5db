"""The command `digits-serve`, also `python -m digits.server`: an HTTP API and a page to draw on.

    cli.py       the command line
    app.py       the ASGI application: routes, headers, log
    uploads.py   from the body of a request to the content of one picture
    limits.py    limits on size, time, queue length and rate
    schemas.py   the responses, as OpenAPI describes them
    metrics.py   the metrics for Prometheus
    server.py    uvicorn, with graceful shutdown and a timeout for idle connections
    page/        the page

Requires the extra `serve` of the distribution.
"""
