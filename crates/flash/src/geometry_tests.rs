use super::*;
use crate::testing::{nand_geometry, nand_geometry_of, nor_geometry};
use std::vec::Vec;

#[test]
fn default_layouts_are_the_kernels() {
    let layout = |geometry: &Geometry| -> (Vec<u32>, Vec<(u32, u32)>) {
        let layout = geometry.oob_layout().unwrap();
        (
            layout.ecc_positions().collect(),
            layout.free_regions().collect(),
        )
    };
    let small = nand_geometry_of(512, 16, Ecc::Hamming);
    assert_eq!(layout(&small), (vec![0, 1, 2, 3, 6, 7], vec![(8, 8)]));
    assert_eq!(small.oobavail(), 8);
    let large = nand_geometry_of(2048, 64, Ecc::Hamming);
    assert_eq!(layout(&large), ((40..64).collect(), vec![(2, 38), (64, 0)]));
    assert_eq!(large.oobavail(), 38);
    let larger = nand_geometry_of(4096, 128, Ecc::Hamming);
    assert_eq!(
        layout(&larger),
        ((80..128).collect(), vec![(2, 78), (128, 0)])
    );
    let bch = nand_geometry_of(2048, 64, Ecc::Bch { strength: 4 });
    assert_eq!(layout(&bch), ((36..64).collect(), vec![(2, 34)]));
    let none = nand_geometry_of(2048, 64, Ecc::None);
    assert_eq!(layout(&none), (vec![], vec![(2, 38), (40, 24)]));
}

#[test]
fn geometries_that_do_not_fit_together_are_refused() {
    assert_eq!(nand_geometry().check(), Ok(()));
    assert_eq!(nor_geometry().check(), Ok(()));
    let refused = [
        Geometry {
            erasesize: 0,
            ..nor_geometry()
        },
        Geometry {
            size: 4097,
            ..nor_geometry()
        },
        Geometry {
            oobsize: 16,
            ..nor_geometry()
        },
        Geometry {
            writesize: 500,
            ..nand_geometry()
        },
        Geometry {
            ecc: Ecc::Bch { strength: 9 },
            ..nand_geometry()
        },
        nand_geometry_of(2048, 16, Ecc::Hamming),
        Geometry {
            region_count: 9,
            ..nor_geometry()
        },
        Geometry {
            region_count: 2,
            ..nor_geometry()
        },
    ];
    for geometry in refused {
        assert!(geometry.check().is_err(), "{geometry:?}");
    }
}

#[test]
fn blocks_of_different_sizes_are_found_by_address() {
    let mut geometry = Geometry {
        size: 0x20000,
        erasesize: 0x10000,
        region_count: 2,
        ..nor_geometry()
    };
    geometry.regions[0] = EraseRegion {
        offset: 0,
        erasesize: 0x2000,
        block_count: 8,
    };
    geometry.regions[1] = EraseRegion {
        offset: 0x10000,
        erasesize: 0x10000,
        block_count: 1,
    };
    assert_eq!(geometry.check(), Ok(()));
    assert_eq!(geometry.block_count(), 9);
    assert_eq!(
        geometry.block_at(0x3fff),
        Some(Block {
            index: 1,
            start: 0x2000,
            length: 0x2000
        })
    );
    assert_eq!(
        geometry.block_at(0x1ffff),
        Some(Block {
            index: 8,
            start: 0x10000,
            length: 0x10000
        })
    );
    assert_eq!(geometry.block_at(0x20000), None);
}

#[test]
fn thresholds_follow_the_strength() {
    let threshold = |ecc| nand_geometry_of(2048, 64, ecc).bitflip_threshold_default();
    assert_eq!(threshold(Ecc::Hamming), 1);
    assert_eq!(threshold(Ecc::Bch { strength: 4 }), 3);
    assert_eq!(threshold(Ecc::None), 0);
}
