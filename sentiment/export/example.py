"""Label texts: pip install onnxruntime tokenizers numpy; python example.py "Soft and warm"."""

import sys

import numpy as np
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

tokenizer, session = Tokenizer.from_file("tokenizer.json"), InferenceSession("model.onnx")
tokenizer.enable_padding()
encoded = tokenizer.encode_batch(sys.argv[1:])
inputs = {"input_ids": [one.ids for one in encoded], "attention_mask": [one.attention_mask for one in encoded]}
print(*session.run(None, {name: np.array(ids, np.int64) for name, ids in inputs.items()})[0])
