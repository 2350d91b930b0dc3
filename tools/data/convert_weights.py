"""Convert the weights of MediaPipe Selfie Segmentation from its .tflite file.

    python tools/data/convert_weights.py sample_data/models/selfie_segmentation.tflite bgblur/weights

writes person.pt (PyTorch, 16 bit like the original) and person.onnx (32 bit, any size).
Run it again whenever `PersonNet` in nbs/core/net.ipynb changes.
"""
import sys
from pathlib import Path

import torch
from ai_edge_litert.interpreter import Interpreter
from torch import nn

from bgblur.core.net import PersonNet, person_net, to_onnx

# kernel axes: from TensorFlow's order to PyTorch's
AXES = {'CONV_2D': (0, 3, 1, 2), 'DEPTHWISE_CONV_2D': (3, 0, 1, 2), 'Convolution2DTransposeBias': (3, 0, 1, 2)}


def convolutions(path):
    "Yield kernel and bias of each convolution in `path`, in the order of the graph, with PyTorch's axes."
    net = Interpreter(str(path))
    net.allocate_tensors()
    ops = net._get_ops_details()
    # weights are stored as 16 bit, and an operation converts each to 32 bit
    stored = {op['outputs'][0]: op['inputs'][0] for op in ops if op['op_name'] == 'DEQUANTIZE'}
    for op in ops:
        if op['op_name'] in AXES:
            _, kernel, bias = (net.get_tensor(stored.get(i, i)) if n else None for n, i in enumerate(op['inputs']))
            yield torch.tensor(kernel).permute(AXES[op['op_name']]).contiguous(), torch.tensor(bias)


def convert(path):
    "Return the state dict of `PersonNet`. Its convolutions have the order of the original's graph."
    net = PersonNet().half()
    convs = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    for conv, (kernel, bias) in zip(convs, convolutions(path), strict=True):
        assert conv.weight.shape == kernel.shape and kernel.dtype == bias.dtype == torch.float16
        conv.weight.data, conv.bias.data = kernel, bias
    return net.state_dict()


if __name__ == '__main__':
    if len(sys.argv) != 3: sys.exit(__doc__)
    dst = Path(sys.argv[2])
    torch.save(convert(sys.argv[1]), dst/'person.pt')
    to_onnx(person_net(), dst/'person.onnx')
    for f in sorted(dst.glob('person.*')): print(f, f.stat().st_size)
