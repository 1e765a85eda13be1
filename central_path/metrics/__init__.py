"""Measured quantities of features, by the names of their definitions, of NumPy, JAX or torch arrays.

`central_path.measure` gives those of labelled features and a last layer (`catalogue`). Those here need other data: the
features of another data set (NC5), regression targets (NRC1 to NRC3), or features of several layers (He & Su's law).
"""

from central_path.metrics.effective_rank import effective_rank_roy2007 as effective_rank_roy2007
from central_path.metrics.out_of_distribution import nc5_benammar2024 as nc5_benammar2024
from central_path.metrics.out_of_distribution import neco_benammar2024 as neco_benammar2024
from central_path.metrics.regression import nrc1_andriopoulos2024 as nrc1_andriopoulos2024
from central_path.metrics.regression import nrc2_andriopoulos2024 as nrc2_andriopoulos2024
from central_path.metrics.regression import nrc3_andriopoulos2024 as nrc3_andriopoulos2024
from central_path.metrics.separation import separation_fuzziness_he2023 as separation_fuzziness_he2023
from central_path.metrics.separation import separation_law_he2023 as separation_law_he2023
