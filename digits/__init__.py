"""Read handwritten digits in pictures: a picture in, digits out. Needs NumPy, ONNX Runtime, OpenCV and Pillow only.

    from digits.images import load_image
    from digits.model import Classifier
    from digits.recognise import recognise_digits

    classifier = Classifier.load()  # the shipped model
    for digit in recognise_digits(classifier, load_image("photo.jpg")):
        print(digit.digit, digit.probability, digit.box)

    model.py         Classifier: load and verify a model, predict, accept or reject
    images.py        image files to grey values
    ink.py           which pixels are ink
    segmentation.py  which ink belongs to one digit
    normalise.py     a digit to 28x28 pixels, as in MNIST
    measurements.py  stroke width, slant and size of a digit
    recognise.py     all of the above: the digits in a picture, in reading order
    cli.py, show.py  the command `digits`, and the picture that explains its answer
    server/          the command `digits-serve`: HTTP API and a page to draw on
    checksums.py     SHA-256 of files
    errors.py        errors that the user can fix

The package `pipeline`, which trains the model, imports this one, never the other way round.
"""
