"""The shipped model on datasets of others: `EXTERNAL=folder python -m benchmarks.external`.

Nothing is downloaded. Each dataset that is in the folder is measured, see docs/external.md for the files and where to
get them; without a folder, only scikit-learn's digits are.

    formats.py     decode the published files
    datasets.py    the datasets: origin, licence, files, checksums
    measure.py     what a user gets for their images
    tables.py      rows of the tables
    __main__.py    the command
"""
