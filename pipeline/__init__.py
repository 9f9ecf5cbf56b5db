r"""Handwritten digits, from raw files to a measured model, as DVC stages.

    download -> preprocess -> augment ---\
                   |     \-------------> gate, train (one per model) -> evaluate (one per model) -> report
                   |---> corrupt ------------------------------------/                               |
                   |---> cross_validate (one per model) ---------------------------------------------|
                   \---> explore, suspects ----------------------------------------------------------/

Every stage is a script of its own, run from the repository's root: ``python -m pipeline.train cnn``.
A stage reads, calls, writes; what it calls lives in the room of its subject:

    datasets/     what the data are: records, fetching, decoding, arrays
    imaging/      what is done to an image
    classifiers/  one file per kind of model
    training/     how a model learns, and leaves as ONNX
    scoring/      scores and statistics
    reporting/    plots and pages
    serve/        HTTP service and a page to draw on
    predict.py    command: pictures in, digits out
    tune.py       command: a search for hyperparameters
    reading.py    the digits in a picture, from left to right
    artifact.py   the shipped model: one ONNX file and its json
    params.py     params.yaml, read strictly
    runtime.py    what makes a run repeatable: threads, instruction sets, seeds
    errors.py     how a stage ends when its input is wrong
"""
