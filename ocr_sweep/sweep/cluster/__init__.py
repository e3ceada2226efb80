"""Trials on several machines, by Ray: its actors hold the places, its object store carries the bytes. Ray enters here alone.

The driver is the machine where `ocr-sweep sweep run` was called: it alone speaks to Optuna and MLflow. On a node an actor does
one trial after the other, in a folder of that node; what a trial writes there comes back into the driver's folder, whole
files at a time. No disk is shared.
"""
