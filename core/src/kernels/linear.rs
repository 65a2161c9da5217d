//! The packed weights of a linear layer.

use crate::quant::Site;

/// Output channels in one packed panel.
pub const PANEL: usize = 16;

/// Input channels that lie together in a panel (`vpdpbusd` and `sdot` sum four products).
pub const GROUP: usize = 4;

/// Bits by which the high limb of an outlier channel is above the low limb.
pub const LIMB_BITS: u32 = 7;

/// What becomes of a layer's outputs `y`, which have their bias.
#[derive(Debug)]
pub enum Epilogue<'o> {
    /// `out = y`
    Store,
    /// `out = GELU(y)`; y in activation units.
    Gelu,
    /// `out = ReLU(y)`
    Relu,
    /// `out = out + y`, saturating: y is the update of a residual stream.
    Add,
    /// `out = out * sigmoid(y)`, rounded half up: y, in activation units, is the gate of what is there.
    Gate,
    /// `codes = encode(out + y)`, saturating: y is the last update of a residual stream, `out`, before it is
    /// stored. `out` stays.
    Encode(CodeRows<'o>),
}

/// One list gives the kinds of [`Epilogue`] and [`EpilogueKind::ALL`].
#[cfg(any(test, feature = "kernels"))]
macro_rules! epilogue_kinds {
    ($($kind:ident),*) => {
        /// An [`Epilogue`] without its memory. What tests, benches and fuzz targets try is [`Self::ALL`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EpilogueKind {
            $(#[doc = concat!("[`Epilogue::", stringify!($kind), "`]")] $kind),*
        }

        impl EpilogueKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),*];
        }

        impl Epilogue<'_> {
            /// Which one it is. An epilogue that is missing in the list doesn't compile here.
            pub const fn kind(&self) -> EpilogueKind {
                match self {
                    $(Self::$kind { .. } => EpilogueKind::$kind),*
                }
            }
        }
    };
}

#[cfg(any(test, feature = "kernels"))]
epilogue_kinds!(Store, Gelu, Relu, Add, Gate, Encode);

#[cfg(any(test, feature = "kernels"))]
impl EpilogueKind {
    /// The epilogue; `coded` is where [`Epilogue::Encode`] stores.
    pub const fn epilogue(self, coded: CodeRows) -> Epilogue {
        match self {
            Self::Store => Epilogue::Store,
            Self::Gelu => Epilogue::Gelu,
            Self::Relu => Epilogue::Relu,
            Self::Add => Epilogue::Add,
            Self::Gate => Epilogue::Gate,
            Self::Encode => Epilogue::Encode(coded),
        }
    }
}

/// Rows of a stored residual stream.
#[derive(Debug)]
pub struct CodeRows<'o> {
    /// How they are stored; a channel for each output.
    pub site: &'o Site<'o>,
    /// As many rows as there are of outputs.
    pub codes: &'o mut [u8],
    /// Bytes from one row to the next.
    pub code_row: usize,
}

impl<'o> CodeRows<'o> {
    /// The site of the channels from `first` on, up to `count` of them.
    #[inline(always)]
    pub(in crate::kernels) fn channels(&self, first: usize, count: usize) -> Site<'o> {
        let exponents = self.site.exponents.get(first..).unwrap_or_default();
        Site { codec: self.site.codec, exponents: &exponents[..count.min(exponents.len())] }
    }

    /// The codes of one row from channel `first` on.
    #[inline(always)]
    pub(in crate::kernels) fn row(&mut self, row: usize, first: usize) -> &mut [u8] {
        let at = first * self.site.codec.bytes_per_value();
        let row = self.codes.chunks_mut(self.code_row.max(1)).nth(row);
        row.and_then(|codes| codes.get_mut(at..)).unwrap_or_default()
    }
}

/// A linear layer read in place: y = W x + b.
///
/// `weight` is `[ceil(outputs / 16), groups, 16, 4]`; the groups hold the high-limb columns of the outlier
/// channels first, then the ordinary columns, each part padded with zeros to a multiple of four. Where all
/// channels are outliers both parts are the same, and stored once.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    weight: &'a [i8],
    bias: &'a [i32],
    mantissa: &'a [u16],
    shift: &'a [i8],
    /// For every output the sum over `128 * high-limb weights + weights`: what a product of u8 with i8 has too
    /// much, 128 times. No kernel of today reads it.
    row_sum: &'a [i32],
    outliers: &'a [u16],
    inputs: usize,
}

impl<'a> Linear<'a> {
    /// A layer over its parts: `weight` as above, for each of the outputs a `bias`, a weight scale
    /// (`mantissa`, `shift`) and a `row_sum`, and the `outliers` among the `inputs`, ascending.
    ///
    /// # Errors
    /// What of it kernels can't use.
    pub fn from_parts(
        weight: &'a [i8],
        bias: &'a [i32],
        mantissa: &'a [u16],
        shift: &'a [i8],
        row_sum: &'a [i32],
        outliers: &'a [u16],
        inputs: usize,
    ) -> Result<Self, &'static str> {
        let layer = Self { weight, bias, mantissa, shift, row_sum, outliers, inputs };
        layer.check().map(|()| layer)
    }

    /// All that the kernels rely on.
    fn check(&self) -> Result<(), &'static str> {
        let outputs = self.bias.len();
        if [self.mantissa.len(), self.shift.len(), self.row_sum.len()] != [outputs; 3]
            || self.weight.len() != outputs.div_ceil(PANEL) * self.panel_len()
        {
            return Err("the parts have different numbers of outputs");
        }
        // |acc| <= 128 * 128 * (inputs + 128 * outliers) must fit an i32.
        if self.outliers.len().saturating_mul(128).saturating_add(self.inputs) > 131_071 {
            return Err("too many inputs and outliers for a 32-bit accumulator");
        }
        if !self.outliers.is_sorted_by(|a, b| a < b) {
            return Err("outlier channels are not in ascending order");
        }
        if self.outliers.last().is_some_and(|&last| usize::from(last) >= self.inputs) {
            return Err("an outlier channel exceeds the inputs");
        }
        if self.mantissa.iter().any(|&m| m < 1 << 15) {
            return Err("a weight mantissa is below 2^15");
        }
        Ok(())
    }

    /// The layer of the outputs from `first` on, which reads the same quantized rows; `None` unless a panel
    /// begins there.
    pub fn outputs_from(&self, first: usize) -> Option<Self> {
        let panels = first.is_multiple_of(PANEL).then_some(first / PANEL)?;
        Some(Self {
            weight: self.weight.get(panels.checked_mul(self.panel_len())?..)?,
            bias: self.bias.get(first..)?,
            mantissa: self.mantissa.get(first..)?,
            shift: self.shift.get(first..)?,
            row_sum: self.row_sum.get(first..)?,
            ..*self
        })
    }

    /// Places by which an accumulator can be shifted left without loss, whatever the codes and weights are,
    /// also those that parts are padded with.
    pub const fn room(&self) -> u32 {
        let (high, low) = (self.high_groups(), self.inputs.div_ceil(GROUP));
        let largest = 128 * 128 * GROUP as u64 * (low as u64 + 128 * high as u64);
        (largest.leading_zeros() - u32::BITS).saturating_sub(1)
    }

    /// Input channels.
    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    /// Output channels.
    pub const fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Groups of four high-limb columns.
    pub const fn high_groups(&self) -> usize {
        self.outliers.len().div_ceil(GROUP)
    }

    /// Codes in one quantized input row: high limbs, then every channel, each padded to a multiple of four.
    pub const fn row_len(&self) -> usize {
        row_len(self.inputs, self.outliers.len())
    }

    /// Groups of four columns in a panel.
    pub const fn panel_groups(&self) -> usize {
        panel_groups(self.inputs, self.outliers.len())
    }

    const fn panel_len(&self) -> usize {
        self.panel_groups() * PANEL * GROUP
    }

    /// The outlier channels, ascending.
    pub const fn outliers(&self) -> &'a [u16] {
        self.outliers
    }

    /// All panels of 16 output channels, each `[groups, 16, 4]`.
    #[cfg(any(target_arch = "x86_64", feature = "kernels"))]
    pub const fn weight(&self) -> &'a [i8] {
        self.weight
    }

    /// The panels of 16 output channels with the channels' epilogues.
    pub fn panels(&self) -> impl Iterator<Item = Panel<'a>> + use<'a> {
        let layer = *self;
        (0..).map_while(move |index| layer.panel(index))
    }

    /// The panel with the channels from `16 * index` on.
    pub fn panel(&self, index: usize) -> Option<Panel<'a>> {
        // Panels of a layer without inputs are empty: only their channels tell where they end.
        if PANEL * index >= self.outputs() {
            return None;
        }
        let panel_len = self.panel_len();
        let weight = self.weight.get(index * panel_len..(index + 1) * panel_len)?;
        let channels = PANEL * index..self.outputs().min(PANEL * (index + 1));
        let high = weight.get(..self.high_groups() * PANEL * GROUP)?;
        let low = weight.get(weight.len() - self.inputs.div_ceil(GROUP) * PANEL * GROUP..)?;
        Some(Panel {
            high,
            low,
            bias: self.bias.get(channels.clone())?,
            mantissa: self.mantissa.get(channels.clone())?,
            shift: self.shift.get(channels)?,
        })
    }
}

/// The rows of `len` codes each in `codes`; endless empty rows where `len` is 0 (a layer without inputs
/// outputs its bias).
pub fn rows(codes: &[i8], len: usize) -> impl Iterator<Item = &[i8]> {
    (0..).map_while(move |row: usize| codes.get(row * len..(row + 1) * len))
}

/// Codes in a quantized row of `inputs` channels of which `outliers` have a second limb.
pub const fn row_len(inputs: usize, outliers: usize) -> usize {
    (outliers.div_ceil(GROUP) + inputs.div_ceil(GROUP)) * GROUP
}

/// Groups of four columns in a panel of weights for `inputs` channels of which `outliers` have a second limb:
/// both parts, or the one that serves both limbs where all channels have two.
pub const fn panel_groups(inputs: usize, outliers: usize) -> usize {
    if outliers == inputs { inputs.div_ceil(GROUP) } else { row_len(inputs, outliers) / GROUP }
}

/// Sixteen output channels (fewer in the last panel) of a [`Linear`].
#[derive(Clone, Copy, Debug)]
pub struct Panel<'a> {
    /// High-limb columns, `[groups, 16, 4]`.
    pub high: &'a [i8],
    /// Ordinary columns, `[groups, 16, 4]`.
    pub low: &'a [i8],
    /// Bias in output units.
    pub bias: &'a [i32],
    /// Weight scale mantissas, at least 2^15.
    pub mantissa: &'a [u16],
    /// Weight scale shifts.
    pub shift: &'a [i8],
}
