"""Command: the winner over HTTP, with a page to draw on. `python -m pipeline.serve --help`.

    limits.py    how much, how long, how many, how often; what is refused, and with which status
    uploads.py   a request's body to the bytes of one picture, and what a picture's header allows
    answers.py   the forms of all answers, for OpenAPI
    metrics.py   what Prometheus reads: requests, confidence, and what the ink looks like
    app.py       the routes, their headers and their log
    server.py    uvicorn, with a gentle end and no patience for idle connections
    page/        what a browser gets

Neither PyTorch nor scikit-learn nor DVC is loaded.
"""
