import keras

# The theorems are differentiated by TensorFlow alone, and cannot be imported elsewhere.
if keras.backend.backend() != "tensorflow":
    collect_ignore_glob = ["test_*.py"]
