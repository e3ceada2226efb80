"""`python -m ocr_sweep` is `ocr-sweep`."""

from ocr_sweep.cli.app import main

if __name__ == "__main__":
    main()
