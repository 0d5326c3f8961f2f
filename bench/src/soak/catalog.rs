//! Changes of the catalog, and evaluations, beside all else.

use super::client::{Session, Trouble};
use super::shop::{PRODUCTS, classes, create_model};

impl Session<'_> {
    /// Measures models on the labelled photos.
    ///
    /// # Errors
    /// Written down.
    pub async fn evaluate(&mut self) -> Result<(), Trouble> {
        let what = ["MODEL apparel_nano", "MODEL apparel_small", "TASK apparel"];
        let what = what[self.below(3) as usize];
        let rows = 50 + self.below(250);
        let sql = format!("EVALUATE {what} ON (SELECT photo, label FROM truth LIMIT {rows})");
        self.text_rows(&sql).await.map(drop)
    }

    /// Makes a task and a model of this client's own, asks it, and drops both. What a kill has
    /// left over is dropped the next time.
    ///
    /// # Errors
    /// Written down.
    pub async fn change_catalog(&mut self) -> Result<(), Trouble> {
        let name = format!("own{}", self.client.number);
        let id = 1 + self.below(PRODUCTS);
        let model = create_model(&format!("{name}_nano"), &name, "apparel_nano.onnx");
        let call = [
            format!("ml.{name}(photo)"),
            format!("ml.predict('{name}_nano@1', photo)"),
        ];
        let call = &call[self.below(2) as usize];
        for sql in [
            format!("DROP MODEL IF EXISTS {name}_nano"),
            format!("DROP TASK IF EXISTS {name}"),
            format!("CREATE TASK {name} CLASSES {}", classes()),
            model,
            format!(
                "ALTER TASK {name} SET min_accuracy = 0.{}",
                1 + self.below(8)
            ),
            format!("ALTER MODEL {name}_nano SET accuracy = 0.9"),
        ] {
            self.text_rows(&sql).await?;
        }
        let sql = format!(
            "/* {} */ SELECT ml.kind(photo), {call} FROM products WHERE id = {id}",
            self.below(2)
        );
        let rows = self.text_rows(&sql).await?;
        let found: Vec<(Option<String>, Option<String>)> = self.decoded(rows, &sql);
        let common = self.client.common.clone();
        let label = common.shop.product(id).map(|product| product.kind.clone());
        self.compare(&sql, &found, &vec![(label.clone(), label)]);
        self.text_rows(&format!("DROP MODEL {name}_nano")).await?;
        self.text_rows(&format!("DROP TASK {name}")).await.map(drop)
    }
}
