"""What a model's configuration may name: the classes and functions of Keras that make up models.

The lists are for looking into files without starting Keras. Where Keras runs, `config.py` asks it too,
so that a class which came with a later Keras needs no row here. Source: the public modules of Keras 2.1
to 2.15 and 3.0 to 3.15; `test_saving_safety_config.py` compares them with the installed one.
"""

from __future__ import annotations

from typing import Optional


def _words(text: str) -> frozenset:
    return frozenset(text.split())


LAYERS = _words(
    """
    Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D
    AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add
    AdditiveAttention AlphaDropout Attention AugMix AutoContrast Average AveragePooling1D
    AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization Bidirectional
    CategoryEncoding CenterCrop Concatenate ContrastLimitedAdaptiveHistogramEqualization Conv1D
    Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D
    Convolution1D Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D
    Convolution3DTranspose Cropping1D Cropping2D Cropping3D CutMix Dense DepthwiseConv1D
    DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense Embedding Equalization FeatureSpace
    Flatten FlaxLayer Functional GRU GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D
    GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D
    GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D
    GlobalMaxPooling3D GroupNormalization GroupQueryAttention GroupedQueryAttention HashedCrossing Hashing Identity
    InputLayer IntegerLookup JaxLayer LSTM LSTMCell Lambda LayerNormalization LeakyReLU Masking
    MaxNumBoundingBoxes MaxPool1D MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D Maximum
    MelSpectrogram Minimum MixUp Model MultiHeadAttention Multiply Normalization PReLU Permute
    Pipeline RMSNormalization RNN RandAugment RandomBrightness RandomColorDegeneration
    RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip
    RandomGaussianBlur RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization
    RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom ReLU
    RepeatVector Rescaling Reshape Resizing ReversibleEmbedding STFTSpectrogram SeparableConv1D
    SeparableConv2D SeparableConvolution1D SeparableConvolution2D Sequential SimpleRNN SimpleRNNCell
    Softmax Solarization SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization
    StackedRNNCells StringLookup Subtract TextVectorization TimeDistributed UnitNormalization
    UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    """
)

# classes of Keras 2 that today's Keras lacks; the older reader knows what to make of each
OLDER = _words(
    """
    AtrousConvolution1D AtrousConvolution2D BatchNormalizationV1 BatchNormalizationV2 CategoryCrossing
    ClassMethod ConstantV2 CosineProximity CuDNNGRU CuDNNLSTM Deconvolution2D
    Deconvolution3D DenseFeatures DynamicLossScale FixedLossScale GRUCellV2 GRUV2
    GlorotNormalV2 GlorotUniformV2 Highway IdentityV2 InstanceMethod InstanceProperty KerasTensor
    LSTMCellV2 LSTMV2 LayerNormalizationV1 LayerNormalizationV2 LinearModel LocallyConnected1D
    LocallyConnected2D LossFunctionWrapper LossScaleOptimizerV1 LossScaleOptimizerV3 MaxoutDense
    MeanRelativeError Merge OnesV2 OrthogonalV2 PeepholeLSTMCell RandomHeight
    RandomNormalV2 RandomUniformV2 RandomWidth SlicingOpLambda SumOverBatchSize
    SumOverBatchSizeMetricWrapper SyncBatchNormalization TFOpLambda TensorFlowOpLayer
    ThresholdedReLU TimeDistributedDense TruncatedNormalV2 VarianceScalingV2 WideDeepModel ZerosV2
    """
)

PARTS = _words(
    """
    Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion LossScaleOptimizer MultiOptimizer Muon
    Nadam OptimizerMap RMSprop SGD ScheduleFreeAdamW
    CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay
    PolynomialDecay
    BinaryCrossentropy BinaryFocalCrossentropy CTC CategoricalCrossentropy CategoricalFocalCrossentropy
    CategoricalGeneralizedCrossEntropy CategoricalHinge Circle CosineSimilarity Dice Hinge Huber
    KLDivergence LogCosh MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError
    MeanSquaredLogarithmicError Poisson SparseCategoricalCrossentropy SquaredHinge Tversky
    AUC Accuracy BinaryAccuracy BinaryIoU CategoricalAccuracy ConcordanceCorrelation F1Score FBetaScore
    FalseNegatives FalsePositives IoU LogCoshError Mean MeanIoU MeanMetricWrapper OneHotIoU
    OneHotMeanIoU PearsonCorrelation Precision PrecisionAtRecall R2Score Recall RecallAtPrecision
    RootMeanSquaredError SensitivityAtSpecificity SparseCategoricalAccuracy
    SparseTopKCategoricalAccuracy SpecificityAtSensitivity Sum TopKCategoricalAccuracy TrueNegatives
    TruePositives CompileMetrics CompileLoss MetricsList
    Constant GlorotNormal GlorotUniform HeNormal HeUniform IdentityInitializer LecunNormal LecunUniform
    Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT STFTInitializer
    TruncatedNormal VarianceScaling Zeros constant glorot_normal glorot_uniform he_normal he_uniform
    identity lecun_normal lecun_uniform ones orthogonal random_normal random_uniform stft
    truncated_normal variance_scaling zeros
    L1 L1L2 L2 OrthogonalRegularizer l1 l1_l2 l2 orthogonal_regularizer
    MaxNorm MinMaxNorm NonNeg UnitNorm max_norm min_max_norm non_neg unit_norm
    DTypePolicy FloatDTypePolicy Policy PolicyV1 AWQDTypePolicy DTypePolicyMap GPTQDTypePolicy
    Int4DTypePolicy QuantizedDTypePolicy QuantizedFloat8DTypePolicy SeedGenerator
    AWQConfig AbsMaxQuantizer Float8QuantizationConfig GPTQConfig Int4QuantizationConfig
    Int8QuantizationConfig QuantizationConfig
    DistillationLoss Distiller FeatureDistillation LogitsDistillation
    """
)

CLASSES = LAYERS | PARTS | OLDER

# operations (`x[:, 1]`, `x + 1`, `keras.ops.mean(x)`) as `.h5` files have them, without a module: those of Keras
# 3.3 to 3.15
OPERATIONS = _words(
    """
    Abs Absolute AdaptiveAveragePool AdaptiveMaxPool Add AffineTransform All AllClose Amax Amin
    Angle Any Append Arange Arccos Arccosh Arcsin Arcsinh Arctan Arctan2 Arctanh Argmax Argmin
    Argpartition Argsort Array ArraySplit AssociativeScan Average AveragePool Bartlett BatchNorm
    BinaryCrossentropy Bincount BitwiseAnd BitwiseInvert BitwiseLeftShift BitwiseNot BitwiseOr
    BitwiseRightShift BitwiseXor Blackman BroadcastTo CDist CTCDecode CTCLoss Cast
    CategoricalCrossentropy Cbrt Ceil Celu Cholesky CholeskyInverse Clip Concatenate Cond Conj
    Conjugate Conv ConvTranspose ConvertToTensor Copy Corrcoef Correlate Cos Cosh CountNonzero
    CropImages Cross Cumprod Cumsum Deg2rad DepthToSpace DepthwiseConv Det Diag Diagflat Diagonal
    Diff Digitize Divide DivideNoNan Dot DotProductAttention Dsplit Dstack Eig Eigh Einsum
    ElasticTransform Elu Empty EmptyLike Equal Erf Erfc Erfinv Exp Exp2 ExpandDims Expm1
    ExtractPatches ExtractPatches3D ExtractSequences Eye FFT FFT2 Fabs Flip Fliplr Flipud Floor
    FloorDivide Fmax Fmin Fmod Fold ForiLoop Full FullLike GaussianBlur Gcd Gelu Geomspace GetItem
    Glu Greater GreaterEqual HSVToRGB Hamming Hanning HardShrink HardSigmoid HardSilu HardTanh
    Heaviside Histogram Hsplit Hstack Hypot I0 IFFT2 IRFFT ISTFT Identity Imag InTopK Inner Inv
    IsIn Isclose Isfinite Isinf Isnan Isneginf Isposinf Isreal JVP Kaiser Kron LayerNorm Lcm Ldexp
    LeakyRelu LeftShift Less LessEqual Linspace Log Log10 Log1p Log2 LogSigmoid LogSoftmax
    Logaddexp Logaddexp2 Logdet LogicalAnd LogicalNot LogicalOr LogicalXor Logspace Logsumexp Lstsq
    LuFactor Map MapCoordinates Matmul MatrixRank Max MaxPool Maximum Mean Median Meshgrid Min
    Minimum Mish Mod Moments Moveaxis MultiHot Multiply NanToNum Nanargmax Nanargmin Nancumprod
    Nancumsum Nanmax Nanmean Nanmedian Nanmin Nanpercentile Nanprod Nanquantile Nanstd Nansum
    Nanvar Ndim Negative Nextafter Nonzero Norm Normalize NotEqual OneHot Ones OnesLike Outer PSNR
    Pad PadImages Percentile PerspectiveTransform Pinv Polar Power Prod Ptp Qr Quantile RFFT
    RGBToGrayscale RGBToHSV RMSNorm Rad2deg Ravel ReLU Real Rearrange Reciprocal Relu Relu6 Repeat
    Reshape Resize RightShift Roll Rot90 Round Rsqrt SSIM STFT SVD SaturateCast ScaleAndTranslate
    Scan Scatter ScatterUpdate SearchSorted SegmentMax SegmentMin SegmentProd SegmentReduction
    SegmentSum Select Selu SeparableConv Sigmoid Sign Signbit Silu Sin Sinc Sinh Size Slice
    SliceUpdate Slogdet SobelEdges SoftShrink Softmax Softplus Softsign Solve SolveTriangular Sort
    SpaceToDepth SparseCategoricalCrossentropy SparsePlus SparseSigmoid Sparsemax Split Sqrt Square
    Squareplus Squeeze Stack Std StopGradient Subtract Sum Swapaxes Switch Take TakeAlongAxis Tan
    Tanh TanhShrink Tensordot Threshold Tile TopK Trace Transpose Trapezoid Tri Tril Triu
    TrueDivide Trunc Unfold Unique UnravelIndex Unstack Vander Var Vdot VectorizedMap View
    ViewAsComplex ViewAsReal Vsplit Vstack Where WhileLoop Zeros ZerosLike
    """
)


def is_operation(entry: dict) -> bool:
    """Whether a part of a model is an operation, not a layer: every layer says if it is trainable."""
    config = entry.get("config")
    return isinstance(config, dict) and "trainable" not in config and "inbound_nodes" in entry


def public_module(module: Optional[str]) -> Optional[str]:
    """Where a class lives for every backend: PyTorch's optimizers are classes of their own within Keras."""
    return "keras.optimizers" if module and ".backend.torch.optimizers." in module else module


# Layers that run or unpack what no configuration describes: class -> the word of `allow`
FOREIGN = {"TFSMLayer": "saved_model", "TorchModuleWrapper": "pickle"}

# modules whose functions compute and do nothing else
FUNCTION_MODULES = _words(
    """
    keras.activations keras.constraints keras.initializers keras.losses keras.metrics keras.ops
    keras.ops.image keras.ops.linalg keras.ops.nn keras.ops.numpy keras.random keras.regularizers
    """
)
# functions elsewhere that compute and do nothing else: name -> how their module begins
FUNCTIONS_ELSEWHERE = {
    "preprocess_input": "keras.applications.",
    "normalize": "keras.utils",
    "to_categorical": "keras.utils",
}
NOT_FUNCTIONS = _words("get deserialize serialize")

# public modules (and, inside Keras, packages) whose classes make up models
CLASS_MODULES = _words(
    """
    activations constraints distillation dtype_policies initializers layers legacy losses metrics
    mixed_precision models ops optimizers quantizers random regularizers trainers utils
    """
)

# functions that files name without a module
FUNCTIONS = _words(
    """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu
    linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus
    softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold
    accuracy acc bce mse mae mape msle kld cosine logcosh cosine_proximity
    kullback_leibler_divergence binary_accuracy binary_crossentropy
    binary_focal_crossentropy categorical_accuracy categorical_crossentropy
    categorical_focal_crossentropy categorical_generalized_cross_entropy categorical_hinge circle
    concordance_correlation cosine_similarity ctc dice hinge huber huber_loss kl_divergence log_cosh
    mean_absolute_error mean_absolute_percentage_error mean_squared_error
    mean_squared_logarithmic_error pearson_correlation poisson sparse_categorical_accuracy
    sparse_categorical_crossentropy sparse_top_k_categorical_accuracy squared_hinge
    top_k_categorical_accuracy tversky clipped_relu clip_relu
    """
)

# spellings of Keras 2 and of the field for an activation
ACTIVATIONS = FUNCTIONS | _words("hard_sigmoid softmax_v2 leaky_relu sigmoid_v2 relu_v2")

# the values that the framework writes for plain things that JSON lacks
PLAIN = _words("__tensor__ __numpy__ __keras_tensor__ __bytes__ __ellipsis__ __slice__ __tuple__")
# older spellings of the same
OLDER_PLAIN = _words("TensorShape TypeSpec")
TYPE_SPECS = _words("TensorSpec RaggedTensorSpec SparseTensorSpec IndexedSlicesSpec")
