"""Convert the weights of SINet, the second model, from its author's ONNX file.

    python tools/data/convert_portrait.py SINet_Softmax.onnx bgblur/weights/portrait.onnx

The original comes from github.com/anilsathyan7/Portrait-Segmentation (SINet/SINet_Softmax.onnx, MIT). It accepts normalised BGR
of 320x320. The new file makes the same predictions from RGB in [0,1] of any size divisible by 32, in a quarter of the time:

- Weights are constants. Each batch norm becomes part of the convolution before it, where there is one.
- The channel shuffles are gone. The depthwise convolutions after them have reordered channels instead.
- PReLU becomes max(x, a*x), and the softmax over two channels becomes a sigmoid of their difference.
- Weights below 1e-20 become 0. They belong to channels that died in training, and a CPU is slow with such numbers.
- The mean colour is subtracted in the graph, because padding must add the mean colour, not black.

The script prints the largest difference between both models on random images.
"""
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

EPS = 1e-3                                                  # of all batch norms
# The normalisation that the author used, for BGR in 0 to 255
MEAN = np.float64([102.890434, 111.25247, 126.91212])
SCALE = 255*np.float64([62.93292, 62.82138, 66.355705])
# The blocks of the encoder's second and third level: kernel and pooling of both branches
LEVEL2 = [((3, 1), (5, 1)), ((3, 1), (3, 1))]
LEVEL3 = [((3, 1), (5, 1)), ((3, 1), (3, 1)), ((5, 1), (3, 2)), ((5, 2), (3, 4)), ((3, 1), (3, 1)), ((5, 1), (5, 1)),
          ((3, 2), (3, 4)), ((3, 1), (5, 2))]
SIDE = 320                                                  # of the square on which it was trained


class Graph:
    "An ONNX graph that grows node by node. Each method adds nodes and returns the name of their result."
    def __init__(self, weights, slopes): self.nodes, self.constants, self.weights, self.slopes = [], {}, weights, iter(slopes)

    def const(self, value, dtype=np.float32):
        name = f'c{len(self.constants)}'
        self.constants[name] = np.where(np.abs(value) < 1e-20, 0, value).astype(dtype)
        return name

    def add(self, op, *inputs, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [f'{op.lower()}{len(self.nodes)}'], **attributes))
        return self.nodes[-1].output[0]

    def affine(self, name, part=slice(None)):
        "Return scale and offset of a batch norm, float64 `(c,)`."
        w, b, mean, var = (self.weights[f'{name}.{x}'][part].astype(np.float64) for x in ('weight', 'bias', 'running_mean', 'running_var'))
        scale = w/np.sqrt(var + EPS)
        return scale, b - mean*scale

    def conv(self, x, w, b=None, stride=1, groups=1):
        "Add a convolution with its offset."
        k = w.shape[2]
        b = np.zeros(len(w)) if b is None else b
        return self.add('Conv', x, self.const(w), self.const(b), kernel_shape=[k, k], pads=[k//2]*4, strides=[stride]*2, group=groups)

    def scaled(self, x, scale, offset):
        "Multiply and add per channel, for a batch norm that follows a sum."
        return self.add('Add', self.add('Mul', x, self.const(scale[:, None, None])), self.const(offset[:, None, None]))

    def prelu(self, x, order=slice(None)):
        "Add the next PReLU: x where x > 0, a*x elsewhere."
        a = next(self.slopes).astype(np.float64)[order, None, None]
        ax = self.add('Mul', x, self.const(a))
        if a.max() <= 1: return self.add('Max', x, ax)
        return self.add('Add', ax, self.add('Mul', self.add('Relu', x), self.const(1 - a)))

    def enlarge(self, x, k):
        "Enlarge by a whole number, as the author's file does."
        return self.add('Resize', x, '', self.const([1, 1, k, k]), mode='linear', coordinate_transformation_mode='align_corners')


def column(v): return v[:, None, None, None]


def squeeze(g, x, name, n):
    "Weigh the channels of `x` by a network of `n` layers that sees their means."
    y = g.add('GlobalAveragePool', x)
    for i in range(0, 2*n, 2):
        y = g.prelu(g.conv(y, g.weights[f'{name}.{i}.weight'][:, :, None, None], g.weights[f'{name}.{i}.bias']))
    return g.add('Mul', y, x)


def downscale(g, x, name, n):
    "Halve the size: a depthwise convolution, the channels' weights, and a convolution across channels."
    w = g.weights[f'{name}.conv.0.weight']
    x = squeeze(g, g.conv(x, w, stride=2, groups=len(w)), f'{name}.conv.1.dense', n)
    scale, offset = g.affine(f'{name}.bn')
    return g.prelu(g.conv(x, g.weights[f'{name}.conv.2.weight']*column(scale), offset))


def branch(g, x, name, order, pool, scale, offset):
    "One branch of a block: pool, convolve each channel, convolve across channels, enlarge; then `scale` and `offset`."
    if pool > 1: x = g.add('AveragePool', x, kernel_shape=[pool]*2, strides=[pool]*2)
    inner, inner_offset = g.affine(f'{name}.conv.1', order)
    w = g.weights[f'{name}.conv.0.weight'][order]*column(inner)
    x = g.prelu(g.conv(x, w, inner_offset, groups=len(w)), order)
    own, own_offset = g.affine(f'{name}.bn')
    w = g.weights[f'{name}.act_conv1x1.1.weight'][:, order]*column(own*scale)
    x = g.conv(x, w, own_offset*scale + offset)
    return g.enlarge(x, pool) if pool > 1 else x


def block(g, x, name, branches, residual):
    "A block with two branches of different reach."
    w = g.weights[f'{name}.c1.conv.weight']
    y, c = g.conv(x, w, groups=2), len(w)
    # the original interleaves the two groups' channels here; these are their places before that
    order = np.argsort(np.arange(c).reshape(2, -1).T.ravel())
    scale, offset = g.affine(f'{name}.BR.bn')
    both = [branch(g, y, f'{name}.d{i + 1}', order, pool, scale[i*c:][:c], offset[i*c:][:c]) for i, (_, pool) in enumerate(branches)]
    y = g.add('Concat', *both, axis=1)
    return g.prelu(g.add('Add', g.add('Mul', x, g.const(scale[:, None, None])), y) if residual else y)


def level(g, x, name, blocks):
    "Return the sum of what a level adds: its blocks after each other."
    for i, branches in enumerate(blocks): x = block(g, x, f'{name}.{i}', branches, residual=i > 0)
    return x


def join(g, parts, name): return g.prelu(g.scaled(g.add('Concat', *parts, axis=1), *g.affine(name)))


def sinet(g, image):
    "Return the person probability of `image`, RGB in [0,1]."
    x = g.add('Sub', image, g.const(MEAN[::-1, None, None]/255))
    scale, offset = g.affine('encoder.level1.bn')
    w = g.weights['encoder.level1.conv.weight']*(255/SCALE)[:, None, None]*column(scale)
    x = g.prelu(g.conv(x, w[:, ::-1], offset, stride=2))
    half = downscale(g, x, 'encoder.level2_0', 1)
    fine = level(g, half, 'encoder.level2', LEVEL2)
    quarter = downscale(g, join(g, [half, fine], 'encoder.BR2.bn'), 'encoder.level3_0', 2)
    coarse = level(g, quarter, 'encoder.level3', LEVEL3)
    scale, offset = g.affine('bn_3')
    x = g.conv(join(g, [quarter, coarse], 'encoder.BR3.bn'), g.weights['encoder.classifier.conv.weight']*column(scale), offset)
    x = g.enlarge(x, 2)
    # details count where the coarse prediction is unsure: 1 - max(softmax) is a sigmoid, too
    unsure = g.add('Sigmoid', g.add('Neg', g.add('Abs', g.conv(x, np.float32([[-1, 1]])[:, :, None, None]))))
    scale, offset = g.affine('level2_C.bn')
    detail = g.prelu(g.conv(fine, g.weights['level2_C.conv.weight']*column(scale), offset))
    x = g.enlarge(g.scaled(g.add('Add', g.add('Mul', detail, unsure), x), *g.affine('bn_2')), 2)
    w = g.weights['classifier.1.weight']
    return g.add('Sigmoid', g.conv(g.enlarge(x, 2), w[1:] - w[:1]))


def convert(original):
    "Return the converted model of the author's `original`, both `onnx.ModelProto`."
    constants = {c.name: numpy_helper.to_array(c) for c in original.graph.initializer}
    weights = {name[2:]: value for name, value in constants.items() if name.startswith('0.')}
    slopes = [constants[n.input[1]].reshape(-1) for n in original.graph.node if n.op_type == 'PRelu']
    g = Graph(weights, slopes)
    g.nodes.append(helper.make_node('Identity', [sinet(g, 'image')], ['person']))
    assert next(g.slopes, None) is None, 'This file has more PReLUs than SINet.'
    image, person = (helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, c, 'h', 'w')) for n, c in (('image', 3), ('person', 1)))
    graph = helper.make_graph(g.nodes, 'SINet', [image], [person], [numpy_helper.from_array(v, k) for k, v in g.constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8, producer_name='bgblur')
    helper.set_model_props(model, {'side': str(SIDE), 'licence': 'MIT, Copyright (c) 2021 anilsathyan'})
    onnx.checker.check_model(model, full_check=True)
    return model


def run(path, name, x):
    "Return the last channel that a model predicts for `x`, without the warnings about the original's weights."
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=['CPUExecutionProvider']).run(None, {name: x.astype(np.float32)})[0][0, -1]


def difference(original, converted, n=4):
    "Return the largest difference between the predictions of both files for smooth random images."
    found = []
    for seed in range(n):
        small = np.random.default_rng(seed).integers(0, 256, (2 + 3*seed,)*2 + (3,), np.uint8)
        bgr = cv2.resize(small, (SIDE, SIDE)).astype(np.float64)
        a = run(original, 'data', ((bgr - MEAN)/SCALE).transpose(2, 0, 1)[None])
        b = run(converted, 'image', (bgr[..., ::-1]/255).transpose(2, 0, 1)[None])
        found.append(np.abs(a - b).max())
    return max(found)


if __name__ == '__main__':
    if len(sys.argv) != 3: sys.exit(__doc__)
    src, dst = map(Path, sys.argv[1:])
    onnx.save(convert(onnx.load(src)), dst)
    print(f'{dst}: {dst.stat().st_size} bytes, largest difference {difference(src, dst):.1e}')
