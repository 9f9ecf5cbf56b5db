r"""Train, evaluate and compare classifiers of handwritten digits, as DVC stages.

    download -> preprocess -> augment -> train (one per model) -----------------\
                    |-> generate_outliers -> train_canonicalizer -> train_ood --+-> package -> evaluate -> report
                    |-> corrupt ----------------------------------------------------------------/            |
                    \-> explore, cross_validate (one per model), label_errors -------------------------------/

`package` and `evaluate` run once per model.

Every stage is a script of its own, run from the repository's root: ``python -m pipeline.train cnn``. A stage reads its
inputs, calls pure functions and writes its outputs. What it calls lives in the folder of its subject:

    datasets/     where data come from: records, download, decoding, arrays
    classifiers/  one file per kind of model
    training/     how a model is fitted: networks, estimators, augmentation, calibration
    robustness/   corruptions to measure and to train on, and the canonicalizer that restores corrupted images
    ood/          out-of-distribution detection: outliers, the detector, and the rejection threshold
    onnx_graph/   export to ONNX, joining graphs, writing model files
    scoring/      scores and statistics; reads no files, runs no model
    reporting/    plots and pages
    fingerprints/ results of numerical kernels, recorded for each kind of processor
    commands/     tune, doctor, verify, fingerprints, quickstart
    params.py     params.yaml, validated against a schema
    runtime.py    threads, instruction sets and seeds; the launcher of stages
    json_file.py  reading and writing JSON files

The package `digits` reads pictures with the resulting model. It never imports this one.
"""
